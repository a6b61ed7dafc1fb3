//! How fast this machine trains, embeds, augments and decodes.
//!
//! `cargo run --release --example throughput -- [step embed ntxent augment decode | KEY ...]`
//!
//! It is the command `simclr bench`.

use std::process::ExitCode;

fn main() -> ExitCode {
    simclr_cli::run_command("bench")
}
