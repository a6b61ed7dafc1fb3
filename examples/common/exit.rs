//! How examples end.

use std::error::Error;
use std::process::ExitCode;

/// Prints an error and its causes as one sentence. An error that is returned from `main` would
/// be shown as the fields of its type.
pub(crate) fn exit<E: Into<Box<dyn Error + Send + Sync>>>(result: Result<(), E>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let error = error.into();
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    eprintln!("{}: {message}", env!("CARGO_CRATE_NAME"));
    ExitCode::FAILURE
}
