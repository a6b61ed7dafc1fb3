//! Experiment 4: self-supervision from scratch on a growing number of task images, each
//! time followed by a linear head. (What varies is our reading of the paper's scripts.)
//!
//! `cargo run --release --example exp4_unlabelled_sweep -- --image-dir cores/ --model-dir runs/exp4`
//!
//! Every default is the paper's. Each network takes as many steps as the one that sees all
//! images, so that what differs is how many images there are and not how long it learns;
//! `--same-epochs` gives each the same number of epochs instead. `--preset tiny` alone runs
//! on synthetic cores.
//!
//! It is the command `simclr experiment 4`, and composed in
//! `crates/simclr-cli/src/experiments/exp4.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    simclr_cli::run_command("experiment 4")
}
