//! How programs begin, speak and end.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

/// What programs return.
pub type AnyResult<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Prints the libraries' warnings on standard error; `RUST_LOG=info` prints more.
pub fn show_warnings() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        .without_time();
    // Fails where a subscriber is installed already, which then prints them.
    let _ = subscriber.try_init();
}

/// Prints a line on standard output. Whoever closed it does not want the line, and that is no
/// reason to end; what else goes wrong there is said on standard error.
pub fn say(text: impl Display) {
    if let Err(error) = writeln!(io::stdout(), "{text}")
        && error.kind() != ErrorKind::BrokenPipe
    {
        complain(format_args!("standard output: {error}"));
    }
}

/// Prints a line on standard error, if that is open.
pub fn complain(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
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
            let message = with_sources(error.into().as_ref());
            complain(format_args!("{}: {message}", program()));
            ExitCode::FAILURE
        }
    }
}

/// The name that the program was called by.
fn program() -> String {
    let path = std::env::args_os().next().map(PathBuf::from);
    let name = path.as_deref().and_then(Path::file_stem);
    name.map_or("simclr".into(), |name| name.to_string_lossy().into_owned())
}

/// The error's message and those of its sources that it does not end with.
pub fn with_sources(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if !message.ends_with(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = inner.source();
    }
    message
}
