//! Experiment 3: self-supervision from scratch on task images, then a linear head.
//!
//! `simclr experiment 3 --image-dir cores/ --model-dir runs/exp3`
//!
//! Every default is the paper's. The images' labels are used by the probes alone (and by
//! the linear classifier that learns alongside on stopped gradients); images set aside
//! for testing take no part in pretraining. `--preset tiny` alone runs on synthetic cores.

use simclr_progress::ProgressMode;
use simclr_study::paper;

use super::arguments::{StudyParts, finish, in_parts};
pub use super::pretrain_arguments::SelfSupervisionArguments as Arguments;
use crate::terminal::AnyResult;

/// Evaluates the experiment's methods, and writes its report.
pub fn run(arguments: Arguments, progress: ProgressMode) -> AnyResult {
    in_parts("exp3", arguments, progress, evaluate)
}

fn evaluate(arguments: Arguments) -> AnyResult {
    arguments.experiment.refuse_checkpoint()?;
    let protocol = arguments.experiment.protocol(paper::experiment_3())?;
    let protocol = arguments.pretrain.over_one(protocol)?;
    let pretrain = arguments.pretrain(protocol.pretrain.clone());
    let fraction = protocol.largest_unlabelled_fraction();
    let parts = StudyParts {
        self_supervision: true,
        ..StudyParts::default()
    };
    let mut study = arguments.experiment.study("exp3", protocol, parts)?;
    let pretrain = pretrain.device(study.device().clone());

    study.probe_untrained(|run| pretrain.clone().seed(run.seed).untrained())?;
    study.pretrain(
        "self-supervised on the task",
        &pretrain,
        fraction,
        "pretrain",
    )?;
    finish("exp3", &study, Ok)
}
