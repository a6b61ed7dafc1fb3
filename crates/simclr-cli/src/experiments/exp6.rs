//! Experiment 6: transfer against self-supervision on the task's own images, over label
//! budgets, with all classes and for one class against the others. (Our reading of the
//! paper's scripts.) An untrained network and one that is trained with the labels from
//! scratch show what either is worth.
//!
//! `simclr experiment 6 --image-dir cores/ --checkpoint supervised.safetensors --binary none`
//!
//! Every default is the paper's. With `--binary CLASS` both tasks are run, the binary one
//! in the folder `binary/` with a report of its own. `--preset tiny` alone runs on
//! synthetic cores, with a stand-in for the ImageNet network.

use clap::Parser;
use simclr_data::ClassMap;
use simclr_progress::ProgressMode;
use simclr_study::{Study, paper};

use super::arguments::{ExperimentArguments, Options, Preset, StudyParts, finish, in_parts};
use super::networks::{Start, StartNetwork, Training};
use super::pretrain_arguments::SelfSupervisionArguments;
use crate::interrupt::pause_handle;
use crate::terminal::AnyResult;

/// The options of this experiment.
#[derive(Debug, Clone, Parser)]
pub struct Arguments {
    /// The network to start from was trained without labels.
    #[arg(long)]
    self_supervised: bool,
    /// Side in pixels of the images that the transferred network sees [default: --image-size].
    #[arg(long)]
    transfer_image_size: Option<usize>,
    /// Leave out the network that is trained with the labels from scratch.
    #[arg(long)]
    without_supervised: bool,
    /// Epochs of that network's training with all labels [default: the preset's].
    #[arg(long, conflicts_with = "without_supervised")]
    supervised_epochs: Option<usize>,
    /// Train that network with Adam at 0.001 in batches of 50, as the tiny preset does, instead
    /// of the paper's LARS and batches of 256: for a few hundred images.
    #[arg(long, conflicts_with = "without_supervised")]
    supervised_adam: bool,
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
    in_parts("exp6", arguments, progress, evaluate)
}

fn evaluate(mut arguments: Arguments) -> AnyResult {
    let mut binary = arguments.common.experiment.images.binary.take();
    let experiment = &arguments.common.experiment;
    if experiment.preset == Preset::Tiny && experiment.images.is_synthetic() {
        binary = binary.or(Some("none".to_owned()));
    }
    let protocol = experiment.protocol(paper::experiment_6())?;
    let mut protocol = arguments.common.pretrain.over_one(protocol)?;
    if arguments.supervised_adam {
        protocol.supervised = paper::with_adam(protocol.supervised);
    }
    if let Some(epochs) = arguments.supervised_epochs {
        protocol.supervised.schedule.epochs = epochs;
    }
    let training = Training::from(!arguments.self_supervised);
    let start = StartNetwork::read(experiment, training)?;
    let parts = StudyParts {
        self_supervision: true,
        start: start.given(),
        binary: binary.as_deref(),
    };
    let mut study = experiment.study("exp6", protocol, parts)?;
    // Opened before the work begins, so that a folder of another study is noticed now.
    let open = |class: String| AnyResult::Ok((arguments.binary(&study, &class)?, class));
    let binary = binary.map(open).transpose()?;
    let imagenet = start.start(experiment, &mut study)?;
    arguments.evaluate(&mut study, &imagenet)?;
    finish("exp6, all classes", &study, Ok)?;

    if let Some((mut binary, class)) = binary {
        binary.note(imagenet.note.as_str());
        arguments.evaluate(&mut binary, &imagenet)?;
        finish(&format!("exp6, {class} against the others"), &binary, Ok)?;
    }
    Ok(())
}

impl Arguments {
    /// The study of one class against the others: the same folds, so the same
    /// self-supervision and the same features.
    fn binary(&self, study: &Study, class: &str) -> AnyResult<Study> {
        let task = study.task().with_class_map(&ClassMap::binary(class))?;
        let mut protocol = study.protocol().clone();
        protocol.title += &format!(", \"{class}\" against the others");
        let binary = Study::open(study.dir().join("binary"), protocol, task)?;
        let experiment = &self.common.experiment;
        let binary = binary
            .with_part(study.part())
            .with_pause(pause_handle())
            .with_progress(experiment.progress)
            .with_gradient_checkpointing(experiment.gradient_checkpointing());
        Ok(binary.with_runs_of(study)?)
    }

    /// Evaluates all methods.
    fn evaluate(&self, study: &mut Study, imagenet: &Start) -> AnyResult {
        let protocol = study.protocol().clone();
        let pretrain = self.common.pretrain(protocol.pretrain.clone());
        let pretrain = pretrain.device(study.device().clone());
        study.probe_untrained(|run| pretrain.clone().seed(run.seed).untrained())?;
        let size = self.transfer_image_size.unwrap_or(protocol.image_size());
        imagenet.evaluate_at(study, size)?;
        let fraction = protocol.largest_unlabelled_fraction();
        let name = "self-supervised on the task";
        study.pretrain(name, &pretrain, fraction, "pretrain")?;
        if !self.without_supervised {
            study.supervised("supervised from scratch")?;
        }
        Ok(())
    }
}
