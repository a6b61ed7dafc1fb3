//! How examples end.

use std::fmt::Display;
use std::process::ExitCode;

/// Says what went wrong in a sentence. An error that is returned from `main` would be shown as
/// the fields of its type.
pub(crate) fn exit<E: Display>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", env!("CARGO_CRATE_NAME"));
            ExitCode::FAILURE
        }
    }
}
