//! Experiment 1: transfer learning from a self-supervised network. A SimCLRv2 network
//! that was trained on ImageNet is frozen, and a linear head learns on its features.
//!
//! `simclr experiment 1 --image-dir cores/ --checkpoint r50_1x_sk0.safetensors`
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
    in_parts("exp1", experiment, progress, evaluate)
}

fn evaluate(experiment: Arguments) -> AnyResult {
    experiment.images.refuse_unlabelled()?;
    let protocol = experiment.protocol(paper::experiment_1())?;
    experiment.refuse_training(&protocol)?;
    let (training, parts) = (Training::SelfSupervised, StudyParts::default());
    let (mut study, imagenet) = study_with_start(&experiment, "exp1", protocol, training, parts)?;

    study.probe_untrained(|run| imagenet.untrained(run.seed))?;
    imagenet.evaluate(&mut study)?;
    finish("exp1", &study, Ok)
}
