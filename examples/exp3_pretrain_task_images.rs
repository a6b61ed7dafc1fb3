//! Experiment 3: self-supervision from scratch on task images, then a linear head.
//!
//! `cargo run --release --example exp3_pretrain_task_images -- --image-dir cores/ --model-dir runs/exp3`
//!
//! Every default is the paper's. The images' labels are used by the probes alone (and by
//! the linear classifier that learns alongside on stopped gradients); images set aside
//! for testing take no part in pretraining. `--preset tiny` alone runs on synthetic cores.

use std::process::ExitCode;

use simclr::study::paper;

#[path = "../crates/simclr-cli/src/experiments/arguments.rs"]
mod experiment;
#[path = "../crates/simclr-cli/src/experiments/pretrain_arguments.rs"]
mod pretrain_arguments;

use experiment::{AnyResult, exit, finish, in_parts};
pub(crate) use pretrain_arguments::SelfSupervisionArguments as Arguments;

fn main() -> ExitCode {
    exit(|| {
        run(experiment::parse(
            "Pretrains on task images and probes the encoder.",
        ))
    })
}

pub(crate) fn run(arguments: Arguments) -> AnyResult {
    in_parts("exp3", arguments, evaluate)
}

fn evaluate(arguments: Arguments) -> AnyResult {
    arguments.experiment.refuse_checkpoint()?;
    let protocol = arguments.experiment.protocol(paper::experiment_3())?;
    let protocol = arguments.pretrain.over_one(protocol)?;
    let pretrain = arguments.pretrain(protocol.pretrain.clone());
    let fraction = protocol.largest_unlabelled_fraction();
    let mut study = arguments.experiment.pretraining_study("exp3", protocol)?;

    study.probe_untrained(|run| pretrain.clone().seed(run.seed).untrained())?;
    study.pretrain(
        "self-supervised on the task",
        &pretrain,
        fraction,
        "pretrain",
    )?;
    finish("exp3", &study, Ok)
}
