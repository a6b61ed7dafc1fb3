//! Experiment 5: transfer learning from a supervised network, the baseline. A ResNet that
//! was trained on ImageNet with labels is frozen, and a linear head learns on its features.
//!
//! `cargo run --release --example exp5_transfer_supervised -- --image-dir cores/ --checkpoint supervised.safetensors`
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
            "Probes a network that was trained on other images with labels.",
        ))
    })
}

pub(crate) fn run(experiment: Arguments) -> AnyResult {
    in_parts("exp5", experiment, evaluate)
}

fn evaluate(experiment: Arguments) -> AnyResult {
    experiment.images.refuse_unlabelled()?;
    let mut study = experiment.study("exp5", experiment.protocol(paper::experiment_5())?)?;
    let imagenet = networks::start(&experiment, &mut study, Training::Supervised)?;

    study.probe_untrained(|run| imagenet.untrained(run.seed))?;
    imagenet.evaluate(&mut study)?;
    finish("exp5", &study, Ok)
}
