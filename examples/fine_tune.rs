//! SimCLRv2's second step: a pretrained network is fine-tuned with labels, whole or after one
//! of its block groups, and compared with probes on its frozen features and with training from
//! scratch, at every number of labels.
//!
//! `cargo run --release --example fine_tune -- --image-dir cores/ --checkpoint runs/exp3/seed-1/pretrain/model.safetensors`
//!
//! The network may have learned with or without labels, on other images or on the task's own.
//! In the last case it must not have seen the test images: experiments 3 and 6 fine-tune the
//! networks that they pretrain if `--fine-tune` is given. The settings are those of the paper's
//! README; `--preset tiny` alone runs on synthetic cores, with a stand-in.
//!
//! It is the command `simclr experiment fine-tune`.

use std::process::ExitCode;

fn main() -> ExitCode {
    simclr_cli::run_command("experiment fine-tune")
}
