//! Experiment 1: transfer learning from a self-supervised network. A SimCLRv2 network
//! that was trained on ImageNet is frozen, and a linear head learns on its features.
//!
//! `cargo run --release --example exp1_transfer_self_supervised -- --image-dir cores/ --checkpoint r50_1x_sk0.safetensors`
//!
//! Every default is the paper's. `--preset tiny` alone runs on synthetic cores, with a
//! stand-in for the ImageNet network, in a few minutes.
//!
//! It is the command `simclr experiment 1`, and composed in
//! `crates/simclr-cli/src/experiments/exp1.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    simclr_cli::run_command("experiment 1")
}
