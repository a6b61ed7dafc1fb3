//! Experiment 5: transfer learning from a supervised network, the baseline. A ResNet that
//! was trained on ImageNet with labels is frozen, and a linear head learns on its features.
//!
//! `cargo run --release --example exp5_transfer_supervised -- --image-dir cores/ --checkpoint supervised.safetensors`
//!
//! Every default is the paper's. `--preset tiny` alone runs on synthetic cores, with a
//! stand-in for the ImageNet network, in a few minutes.
//!
//! It is the command `simclr experiment 5`, and composed in
//! `crates/simclr-cli/src/experiments/exp5.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    simclr_cli::run_command("experiment 5")
}
