//! Experiment 6: transfer against self-supervision on the task's own images, over label
//! budgets, with all classes and for one class against the others. (Our reading of the
//! paper's scripts.) An untrained network and one that is trained with the labels from
//! scratch show what either is worth.
//!
//! `cargo run --release --example exp6_transfer_versus_task -- --image-dir cores/ --checkpoint supervised.safetensors --binary none`
//!
//! Every default is the paper's. With `--binary CLASS` both tasks are run, the binary one
//! in the folder `binary/` with a report of its own. `--preset tiny` alone runs on
//! synthetic cores, with a stand-in for the ImageNet network.
//!
//! It is the command `simclr experiment 6`, and composed in
//! `crates/simclr-cli/src/experiments/exp6.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    simclr_cli::run_command("experiment 6")
}
