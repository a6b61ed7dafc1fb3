//! Experiment 5: transfer learning from a supervised network, the baseline. A ResNet that
//! was trained on ImageNet with labels is frozen, and a linear head learns on its features.
//!
//! `simclr experiment 5 --image-dir cores/ --checkpoint supervised.safetensors`
//!
//! Every default is the paper's. `--preset tiny` alone runs on synthetic cores, with a
//! stand-in for the ImageNet network, in a few minutes.

use simclr_progress::ProgressMode;
use simclr_study::paper;

pub use super::arguments::ExperimentArguments as Arguments;
use super::arguments::{StudyParts, finish, in_parts};
use super::networks::{StartNetwork, Training};
use crate::terminal::AnyResult;

/// Evaluates the experiment's methods, and writes its report.
pub fn run(experiment: Arguments, progress: ProgressMode) -> AnyResult {
    in_parts("exp5", experiment, progress, evaluate)
}

fn evaluate(experiment: Arguments) -> AnyResult {
    experiment.images.refuse_unlabelled()?;
    let protocol = experiment.protocol(paper::experiment_5())?;
    let start = StartNetwork::read(&experiment, Training::Supervised)?;
    let parts = StudyParts {
        start: start.given(),
        ..StudyParts::default()
    };
    let mut study = experiment.study("exp5", protocol, parts)?;
    let imagenet = start.start(&experiment, &mut study)?;

    study.probe_untrained(|run| imagenet.untrained(run.seed))?;
    imagenet.evaluate(&mut study)?;
    finish("exp5", &study, Ok)
}
