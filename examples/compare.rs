//! One page of several finished studies on the same test images: all their methods in one curve,
//! and in tables with intervals and paired differences.
//!
//! `cargo run --release --example compare -- runs/exp1 runs/exp6 --model-dir runs/compare`
//!
//! It is the command `simclr compare`.

use std::process::ExitCode;

fn main() -> ExitCode {
    simclr_cli::run_command("compare")
}
