//! Experiment 3: self-supervision from scratch on task images, then a linear head.
//!
//! `cargo run --release --example exp3_pretrain_task_images -- --image-dir cores/ --model-dir runs/exp3`
//!
//! Every default is the paper's. The images' labels are used by the probes alone (and by
//! the linear classifier that learns alongside on stopped gradients); images set aside
//! for testing take no part in pretraining. `--preset tiny` alone runs on synthetic cores.
//!
//! It is the command `simclr experiment 3`, and composed in
//! `crates/simclr-cli/src/experiments/exp3.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    simclr_cli::run_command("experiment 3")
}
