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
use super::networks::{Training, study_with_start};
use crate::terminal::AnyResult;

/// Evaluates the experiment's methods, and writes its report.
pub fn run(experiment: Arguments, progress: ProgressMode) -> AnyResult {
    in_parts("exp5", experiment, progress, evaluate)
}

fn evaluate(experiment: Arguments) -> AnyResult {
    experiment.images.refuse_unlabelled()?;
    let protocol = experiment.protocol(paper::experiment_5())?;
    experiment.refuse_training(&protocol)?;
    let (training, parts) = (Training::Supervised, StudyParts::default());
    let (mut study, imagenet) = study_with_start(&experiment, "exp5", protocol, training, parts)?;

    study.probe_untrained(|run| imagenet.untrained(run.seed))?;
    imagenet.evaluate(&mut study)?;
    finish("exp5", &study, Ok)
}
