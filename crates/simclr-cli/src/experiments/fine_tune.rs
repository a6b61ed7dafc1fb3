//! SimCLRv2's second step: a pretrained network is fine-tuned with labels, whole or after one
//! of its block groups, and compared with probes on its frozen features and with training from
//! scratch, at every number of labels.
//!
//! `simclr experiment fine-tune --image-dir cores/ --checkpoint runs/exp3/seed-1/pretrain/model.safetensors`
//!
//! The network may have learned with or without labels, on other images or on the task's own.
//! In the last case it must not have seen the test images: experiments 3 and 6 fine-tune the
//! networks that they pretrain if `--fine-tune` is given. The settings are those of the paper's
//! README; `--preset tiny` alone runs on synthetic cores, with a stand-in.

use clap::Parser;
use simclr_progress::ProgressMode;
use simclr_study::paper;

use super::arguments::{ExperimentArguments, Options, StudyParts, finish, in_parts};
use super::networks::{Training, study_with_start};
use crate::terminal::AnyResult;

/// The options of this example.
#[derive(Debug, Clone, Parser)]
pub struct Arguments {
    /// The network to start from was trained with labels.
    #[arg(long)]
    supervised: bool,
    /// Leave out the network that is trained with the labels from scratch.
    #[arg(long)]
    without_scratch: bool,
    #[command(flatten)]
    common: ExperimentArguments,
}

impl Options for Arguments {
    fn experiment(&mut self) -> &mut ExperimentArguments {
        &mut self.common
    }
}

/// Evaluates the methods, and writes the report.
pub fn run(arguments: Arguments, progress: ProgressMode) -> AnyResult {
    in_parts("fine-tune", arguments, progress, evaluate)
}

fn evaluate(arguments: Arguments) -> AnyResult {
    let experiment = &arguments.common;
    experiment.images.refuse_unlabelled()?;
    let protocol = experiment.protocol(paper::fine_tuning_study())?;
    let (training, parts) = (Training::from(arguments.supervised), StudyParts::default());
    let (mut study, start) = study_with_start(experiment, "fine-tune", protocol, training, parts)?;

    study.probe_untrained(|run| start.untrained(run.seed))?;
    start.evaluate(&mut study)?;
    if !arguments.without_scratch {
        study.supervised("supervised from scratch")?;
    }
    finish("fine_tune", &study, Ok)
}
