//! Experiment 2: self-supervision goes on from an ImageNet network with the task's own
//! images. The stem and the first block groups are frozen, the others learn by NT-Xent;
//! then a linear head learns on the features.
//!
//! `cargo run --release --example exp2_finetune_self_supervised -- --image-dir cores/ --checkpoint r50_1x_sk0.safetensors --fine-tune-after-block 2`
//!
//! Every default is that of the paper's job scripts: without `--fine-tune-after-block`, block
//! groups 1 to 4 are frozen one after the other, with the original's batch norm (`1:original`).
//! `--preset readme` takes the settings of its README, `--preset recommended` ours, and
//! `--preset tiny` alone runs on synthetic cores, with a stand-in for the ImageNet network.
//!
//! It is the command `simclr experiment 2`, and composed in
//! `crates/simclr-cli/src/experiments/exp2.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    simclr_cli::run_command("experiment 2")
}
