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
use simclr_study::{Protocol, Study, paper};

use super::arguments::{
    ExperimentArguments, Options, Preset, StudyParts, finish, in_parts, with_options,
};
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
    let protocol = arguments.protocol()?;
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
    /// The preset's settings with the options put over them.
    fn protocol(&self) -> AnyResult<Protocol> {
        let protocol = self.common.experiment.protocol(paper::experiment_6())?;
        let mut protocol = self.common.pretrain.over_one(protocol)?;
        if self.supervised_adam {
            protocol.supervised = paper::with_adam(protocol.supervised);
        }
        if let Some(epochs) = self.supervised_epochs {
            protocol.supervised.schedule.epochs = epochs;
        }
        Ok(protocol)
    }

    /// The study of one class against the others: the same folds, so the same
    /// self-supervision and the same features.
    fn binary(&self, study: &Study, class: &str) -> AnyResult<Study> {
        let task = study.task().with_class_map(&ClassMap::binary(class))?;
        let mut protocol = study.protocol().clone();
        protocol.title += &format!(", \"{class}\" against the others");
        let dir = study.dir().join("binary");
        let binary = Study::open_on(dir, protocol, task, study.device().clone());
        let binary = binary.map_err(with_options)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// The options of a study of synthetic cores in `dir`.
    fn arguments(dir: &Path, more: &str) -> Arguments {
        let words = "experiment --preset tiny --synthetic-images 120 --model-dir";
        let dir = dir.display().to_string();
        let words = words.split(' ').chain([dir.as_str()]);
        Arguments::parse_from(words.chain(more.split_whitespace()))
    }

    fn open(arguments: &Arguments) -> AnyResult<Study> {
        let protocol = arguments.protocol()?;
        let experiment = &arguments.common.experiment;
        experiment.study("exp6", protocol, StudyParts::default())
    }

    /// What stands for work that is finished, which no other study may replace.
    fn work(study: &Study) {
        let cells = study.dir().join("cells");
        fs::create_dir_all(&cells).unwrap();
        fs::write(cells.join("cell.json"), "{}").unwrap();
    }

    /// Whether an error names the option behind what differs.
    fn names(error: &str, option: &str) -> bool {
        let (_, options) = error.split_once("(options: ").unwrap_or_default();
        options
            .split([',', ';'])
            .any(|named| named.trim() == option)
    }

    #[test]
    fn a_study_of_another_option_is_refused_by_the_options_name() {
        let dir = tempfile::tempdir().unwrap();
        work(&open(&arguments(dir.path(), "")).unwrap());
        for more in [
            "--binary none",
            "--hidden-norm false",
            "--batch-norm-decay 0.95",
            "--num-proj-layers 2",
            "--proj-out-dim 64",
            "--lineareval-while-pretraining false",
            "--use-blur",
            "--color-jitter-strength 0.25",
            "--rock-symmetries",
            "--supervised-epochs 9",
            "--fine-tune -1",
            "--fine-tune-epochs 9 --fine-tune -1",
            "--fine-tune-learning-rate 0.25 --fine-tune -1",
            "--fine-tune-batch-size 9 --fine-tune -1",
            "--ft-proj-selector 1 --fine-tune -1",
        ] {
            let error = open(&arguments(dir.path(), more)).unwrap_err().to_string();
            let option = more.split(' ').next().unwrap();
            assert!(names(&error, option), "{more}: {error}");
        }
    }

    #[test]
    fn a_study_whose_parts_are_finished_is_not_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let begun = serde_json::json!({"index": 1, "count": 2});
        simclr_files::write_json(&dir.path().join("parts.json"), &begun).unwrap();
        let again = arguments(dir.path(), "--cell 1/2 --fresh");
        let error = in_parts("exp6", again, ProgressMode::Silent, |_| Ok(())).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("--fresh: the parts of the study"),
            "{error}"
        );
    }

    #[test]
    fn a_binary_study_of_another_class_is_refused_by_the_options_name() {
        let dir = tempfile::tempdir().unwrap();
        let arguments = arguments(dir.path(), "");
        let study = open(&arguments).unwrap();
        work(&arguments.binary(&study, "none").unwrap());
        let error = arguments.binary(&study, "soupy").unwrap_err().to_string();
        assert!(names(&error, "--binary"), "{error}");
    }
}
