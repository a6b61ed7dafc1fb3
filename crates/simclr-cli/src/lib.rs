#![doc = include_str!("../README.md")]
#![warn(missing_debug_implementations)]

mod commands;
mod images;
mod messages;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use simclr_progress::ProgressMode;

/// What commands return.
type AnyResult<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// From photographs of drill core to a log by depth, by self-supervised learning.
#[derive(Debug, Parser)]
#[command(name = "simclr", version, propagate_version = true)]
struct Arguments {
    /// Do not show how far the work is.
    #[arg(long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Tiles(commands::tiles::Arguments),
    Pretrain(commands::pretrain::Arguments),
    Probe(commands::probe::Arguments),
    Predict(commands::predict::Arguments),
    Log(commands::log::Arguments),
    Embed(commands::embed::Arguments),
    Completions(commands::completions::Arguments),
}

/// Runs the program with the arguments of a command line, the program's name first. Returns the exit
/// status: 0, 1 if the command failed (the reason is on the standard error stream), 2 if the command line
/// is wrong.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    messages::show_warnings();
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Fails if nobody reads it.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let progress = if arguments.quiet {
        ProgressMode::Silent
    } else {
        ProgressMode::Auto
    };
    let result = match &arguments.command {
        Command::Tiles(command) => command.run(progress),
        Command::Pretrain(command) => command.run(progress),
        Command::Probe(command) => command.run(progress),
        Command::Predict(command) => command.run(progress),
        Command::Log(command) => command.run(),
        Command::Embed(command) => command.run(progress),
        Command::Completions(command) => command.run(Arguments::command()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simclr: {}", messages::with_sources(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
