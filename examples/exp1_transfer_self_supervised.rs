//! Experiment 1: transfer learning from a self-supervised network. A SimCLRv2 network
//! that was trained on ImageNet is frozen, and a linear head learns on its features.
//!
//! `cargo run --release --example exp1_transfer_self_supervised -- --image-dir cores/ --checkpoint r50_1x_sk0.safetensors`
//!
//! Every default is the paper's. `--preset tiny` alone runs on synthetic cores, with a
//! stand-in for the ImageNet network, in a few minutes.

use std::process::ExitCode;

use simclr::study::paper;

#[path = "../crates/simclr-cli/src/experiments/arguments.rs"]
mod experiment;
#[path = "../crates/simclr-cli/src/experiments/networks.rs"]
mod networks;

pub(crate) use experiment::ExperimentArguments as Arguments;
use experiment::{AnyResult, exit, finish, in_parts};
use networks::Training;

fn main() -> ExitCode {
    exit(|| {
        run(experiment::parse(
            "Probes a network that was trained on other images without labels.",
        ))
    })
}

pub(crate) fn run(experiment: Arguments) -> AnyResult {
    in_parts("exp1", experiment, evaluate)
}

fn evaluate(experiment: Arguments) -> AnyResult {
    experiment.images.refuse_unlabelled()?;
    let mut study = experiment.study("exp1", experiment.protocol(paper::experiment_1())?)?;
    let imagenet = networks::start(&experiment, &mut study, Training::SelfSupervised)?;

    study.probe_untrained(|run| imagenet.untrained(run.seed))?;
    imagenet.evaluate(&mut study)?;
    finish("exp1", &study, Ok)
}
