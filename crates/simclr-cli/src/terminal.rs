//! How programs begin, speak and end.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::{Args, ValueEnum};
use serde_json::json;
use simclr_progress::ProgressMode;
use tracing_subscriber::EnvFilter;

use crate::json_events::JsonEvents;

/// What programs return.
pub type AnyResult<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// How progress, warnings and errors are written on standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A bar on a terminal, lines elsewhere.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// How a program shows its work on standard error.
#[derive(Debug, Clone, Copy, Args)]
pub struct OutputArguments {
    /// Do not show how far the work is.
    #[arg(long, global = true)]
    quiet: bool,
    /// How progress, warnings and errors are shown on standard error: for people, or a JSON object a
    /// line.
    #[arg(long, global = true, value_enum, default_value = "text")]
    log_format: LogFormat,
}

impl OutputArguments {
    /// Sets how warnings and errors are written: [`set_log_format`].
    pub fn set_log_format(self) {
        set_log_format(self.log_format);
    }

    /// How progress is shown.
    pub fn progress(self) -> ProgressMode {
        match (self.quiet, self.log_format) {
            (true, _) => ProgressMode::Silent,
            (false, LogFormat::Text) => ProgressMode::Auto,
            (false, LogFormat::Json) => ProgressMode::Json,
        }
    }
}

/// One for the process, as standard error is.
static LOG_FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Sets how warnings and errors are written on standard error, once, before anything is. Default:
/// as text.
pub fn set_log_format(format: LogFormat) {
    // Fails if it was set, and then it stays.
    let _ = LOG_FORMAT.set(format);
}

fn log_format() -> LogFormat {
    LOG_FORMAT.get().copied().unwrap_or_default()
}

/// Prints the libraries' warnings on standard error; `RUST_LOG=info` prints more.
pub fn show_warnings() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        .without_time();
    // Fails where a subscriber is installed already, which then prints them.
    let _ = match log_format() {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.event_format(JsonEvents).try_init(),
    };
}

/// Prints a line on standard output, if that is open; what else goes wrong there is said on standard
/// error.
pub fn say(text: impl Display) {
    if let Err(error) = unless_closed(writeln!(io::stdout(), "{text}")) {
        complain(format_args!("standard output: {error}"));
    }
}

/// What came of writing to standard output. Whoever closed it (`| head`) has seen enough, and that is
/// no error.
pub(crate) fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints a line on standard error, if that is open: a warning, or what else should be known.
pub fn complain(text: impl Display) {
    let text = text.to_string();
    match log_format() {
        LogFormat::Text => print_error_line(text),
        LogFormat::Json => {
            let message = text.strip_prefix("warning: ").unwrap_or(&text);
            print_error_line(json!({"level": "warning", "message": message}));
        }
    }
}

/// Fails if nobody reads it, and then nobody misses it.
fn print_error_line(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Runs a program, and says in a sentence what went wrong, after the program's name. An error that
/// is returned from `main` would be shown as the fields of its type.
pub fn exit<E: Into<Box<dyn Error + Send + Sync>>>(
    run: impl FnOnce() -> Result<(), E>,
) -> ExitCode {
    show_warnings();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = error.into();
            match error.downcast_ref::<clap::Error>() {
                Some(error) => exit_usage(error),
                None => exit_failed(error.as_ref()),
            }
        }
    }
}

fn exit_failed(error: &dyn Error) -> ExitCode {
    match log_format() {
        LogFormat::Text => {
            print_error_line(format_args!("{}: {}", program(), with_sources(error)));
        }
        LogFormat::Json => print_error_line(json!({
            "level": "error",
            "message": error.to_string(),
            "sources": sources(error),
        })),
    }
    ExitCode::FAILURE
}

/// Prints what is wrong with a command line, or the help that was asked for, and gives the exit
/// status.
pub fn exit_usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && log_format() == LogFormat::Json {
        let text = error.render().to_string();
        let message = text.trim_start_matches("error: ").trim_end();
        print_error_line(json!({"level": "error", "message": message, "sources": []}));
    } else {
        // Fails if nobody reads it.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// The name that the program was called by.
fn program() -> String {
    let path = std::env::args_os().next().map(PathBuf::from);
    let name = path.as_deref().and_then(Path::file_stem);
    name.map_or("simclr".into(), |name| name.to_string_lossy().into_owned())
}

/// The error's message and those of its sources that it does not end with.
pub fn with_sources(error: &dyn Error) -> String {
    let mut parts = sources(error);
    parts.insert(0, error.to_string());
    parts.join(": ")
}

/// The messages of an error's sources, but those that what is before them ends with.
fn sources(error: &dyn Error) -> Vec<String> {
    let mut before = error.to_string();
    let mut messages = Vec::new();
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if !before.ends_with(&text) {
            before.clone_from(&text);
            messages.push(text);
        }
        source = inner.source();
    }
    messages
}
