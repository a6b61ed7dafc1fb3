#![doc = include_str!("../README.md")]
#![warn(missing_debug_implementations)]

mod commands;
pub mod device;
pub mod experiments;
mod file_digest;
pub mod folders;
mod images;
pub mod interrupt;
mod json_events;
pub mod options;
pub mod original;
mod outputs;
#[cfg(feature = "parquet")]
mod parquet_file;
mod predictions_file;
#[cfg(feature = "mpi")]
pub mod ranks;
pub mod terminal;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::interrupt::exit_paused;
use crate::terminal::{AnyResult, LogFormat, OutputArguments, exit, exit_usage, set_log_format};

/// From photographs of drill core to a log by depth, by self-supervised learning.
#[derive(Debug, Parser)]
#[command(name = "simclr", version, propagate_version = true)]
struct Arguments {
    #[command(flatten)]
    output: OutputArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Tiles(commands::tiles::Arguments),
    Pretrain(commands::pretrain::Arguments),
    Finetune(commands::finetune::Arguments),
    Probe(commands::probe::Arguments),
    Predict(commands::predict::Arguments),
    Log(commands::log::Arguments),
    Explain(commands::explain::Arguments),
    Select(commands::select::Arguments),
    #[cfg(feature = "label")]
    Label(commands::label::Arguments),
    Labels(commands::labels::Arguments),
    Embed(commands::embed::Arguments),
    Import(commands::import::Arguments),
    Export(commands::export::Arguments),
    Inspect(commands::inspect::Arguments),
    #[command(subcommand)]
    Experiment(Box<commands::experiment::Arguments>),
    Compare(commands::compare::Arguments),
    Run(commands::run::Arguments),
    Bench(commands::bench::Arguments),
    Completions(commands::completions::Arguments),
}

/// Runs the program with the arguments of a command line, the program's name first. Returns the
/// exit status: 0, 1 if the command failed (the reason is on the standard error stream), 2 if the
/// command line is wrong, and 128 and the signal's number if the command was interrupted.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = arguments.into_iter().collect();
    let matches = with_negative_numbers(Arguments::command()).try_get_matches_from(&words);
    match matches.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => {
            arguments.output.set_log_format();
            if arguments.command.is_resumable() {
                // These go on where they stopped, and are told to stop.
                exit_paused(|| arguments.run())
            } else {
                exit(|| arguments.run())
            }
        }
        Err(error) => {
            if asks_for_json(&words) {
                set_log_format(LogFormat::Json);
            }
            exit_usage(&error)
        }
    }
}

/// The command and those below it, whose options take negative numbers without `=`: then the option
/// says what it expects, instead of an unknown option `-1`.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let mut command = command.mut_args(|argument: Arg| {
        let takes_values = argument.get_action().takes_values();
        argument.allow_negative_numbers(takes_values)
    });
    let names = command
        .get_subcommands()
        .map(|below| below.get_name().to_owned());
    for name in names.collect::<Vec<_>>() {
        command = command.mut_subcommand(name, with_negative_numbers);
    }
    command
}

/// Whether a command line that cannot be read has the option `--log-format json` in it.
fn asks_for_json(words: &[OsString]) -> bool {
    let is_pair = |pair: &[OsString]| pair[0] == "--log-format" && pair[1] == "json";
    words.windows(2).any(is_pair) || words.iter().any(|word| word == "--log-format=json")
}

/// [`run`] with one of the program's commands, such as `experiment 1`, and this process's
/// arguments: for programs that are that command.
pub fn run_command(command: &str) -> ExitCode {
    let words = ["simclr"].into_iter().chain(command.split_whitespace());
    run(words.map(OsString::from).chain(std::env::args_os().skip(1)))
}

impl Command {
    fn is_resumable(&self) -> bool {
        matches!(
            self,
            Self::Pretrain(_)
                | Self::Finetune(_)
                | Self::Predict(_)
                | Self::Experiment(_)
                | Self::Run(_)
        )
    }
}

impl Arguments {
    fn run(self) -> AnyResult {
        let progress = self.output.progress();
        match self.command {
            Command::Tiles(command) => command.run(progress),
            Command::Pretrain(command) => command.run(progress),
            Command::Finetune(command) => command.run(progress),
            Command::Probe(command) => command.run(progress),
            Command::Predict(command) => command.run(progress),
            Command::Log(command) => command.run(),
            Command::Explain(command) => command.run(progress),
            Command::Select(command) => command.run(progress),
            #[cfg(feature = "label")]
            Command::Label(command) => command.run(),
            Command::Labels(command) => command.run(),
            Command::Embed(command) => command.run(progress),
            Command::Import(command) => command.run(),
            Command::Export(command) => command.run(),
            Command::Inspect(command) => command.run(),
            Command::Experiment(command) => command.run(progress),
            Command::Compare(command) => command.run(),
            Command::Run(command) => command.run(progress),
            Command::Bench(command) => command.run(),
            Command::Completions(command) => command.run(Self::command()),
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
