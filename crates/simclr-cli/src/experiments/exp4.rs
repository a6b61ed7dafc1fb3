//! Experiment 4: self-supervision from scratch on a growing number of task images, each
//! time followed by a linear head. (What varies is our reading of the paper's scripts.)
//!
//! `simclr experiment 4 --image-dir cores/ --model-dir runs/exp4`
//!
//! Every default is the paper's. Each network takes as many steps as the one that sees all
//! images, so that what differs is how many images there are and not how long it learns;
//! `--same-epochs` gives each the same number of epochs instead. `--preset tiny` alone runs
//! on synthetic cores.

use clap::Parser;
use simclr_progress::ProgressMode;
use simclr_study::{Study, paper};

use super::arguments::{ExperimentArguments, Options, StudyParts, finish, in_parts};
use super::pretrain_arguments::SelfSupervisionArguments;
use crate::terminal::AnyResult;

/// The options of this experiment.
#[derive(Debug, Clone, Parser)]
pub struct Arguments {
    /// The same number of epochs for every part, and so fewer steps for a smaller one.
    #[arg(long)]
    same_epochs: bool,
    #[command(flatten)]
    common: SelfSupervisionArguments,
}

impl Options for Arguments {
    fn experiment(&mut self) -> &mut ExperimentArguments {
        &mut self.common.experiment
    }
}

/// Evaluates the experiment's methods, and writes its report.
pub fn run(arguments: Arguments, progress: ProgressMode) -> AnyResult {
    in_parts("exp4", arguments, progress, evaluate)
}

fn evaluate(arguments: Arguments) -> AnyResult {
    let common = &arguments.common;
    common.experiment.refuse_checkpoint()?;
    let protocol = common.experiment.protocol(paper::experiment_4())?;
    let protocol = common.pretrain.over_one_freeze(protocol)?;
    let mut fractions = protocol.unlabelled_fractions.iter();
    if arguments.same_epochs && fractions.all(|fraction| *fraction == 1.0) {
        let reason = "--same-epochs needs an --unlabelled-fraction below 1: with all images, the epochs are the same";
        return Err(reason.into());
    }
    let pretrain = common.pretrain(protocol.pretrain.clone());
    let parts = StudyParts {
        self_supervision: true,
        ..StudyParts::default()
    };
    let mut study = common.experiment.study("exp4", protocol.clone(), parts)?;
    let pretrain = pretrain.device(study.device().clone());

    study.probe_untrained(|run| pretrain.clone().seed(run.seed).untrained())?;
    let mut curve = vec![(0.0, Study::UNTRAINED.to_owned())];
    for fraction in protocol.unlabelled_fractions {
        let first = study.seed_runs().first().ok_or("there is no seed")?;
        let images = first.unlabelled_count(fraction)?;
        let name = format!("self-supervised on {images} images");
        let mut epochs = protocol.pretrain.schedule.epochs;
        if !arguments.same_epochs {
            epochs = (epochs as f64 / fraction).round() as usize;
        }
        let pretrain = pretrain.clone().epochs(epochs);
        study.pretrain(&name, &pretrain, fraction, &format!("pretrain-{fraction}"))?;
        curve.push((images as f64, name));
    }
    let comparison = study.comparison()?;
    finish("exp4", &study, |report| {
        let title = "Accuracy over the number of unlabelled images";
        let figure = comparison.curve(title, "unlabelled images", &curve)?;
        let caption = "Mean accuracy of logistic regression over folds and seeds, with its 95 % \
                       confidence interval; 0 is the untrained network, its batch norm \
                       calibrated.";
        Ok(report.figure("unlabelled-images", figure, caption))
    })
}
