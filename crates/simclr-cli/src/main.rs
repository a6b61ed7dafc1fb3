//! The program `simclr`.

use std::process::ExitCode;

fn main() -> ExitCode {
    simclr_cli::run(std::env::args_os())
}
