//! What the six experiments share: their options, and how they begin and end.

use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use simclr_data::{ClassMap, Fractions, OfflineAugmentation, Seed};
use simclr_model::{GradientCheckpointing, SimClr};
use simclr_progress::ProgressMode;
use simclr_report::{Report, percent};
use simclr_study::{FoldScheme, Part, Protocol, Study, Task, paper};

use super::fine_tune_arguments::FineTuneArguments;
use super::image_arguments::ImageArguments;
use crate::device::DeviceArgument;
use crate::interrupt::pause_handle;
use crate::terminal::{AnyResult, say};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// The paper's settings: ResNet-50 at 224 px, four folds. In experiment 2 those of its
    /// job scripts.
    Paper,
    /// Experiment 2 with the settings of the example in the paper's README.
    Readme,
    /// Experiment 2 as we recommend it: few steps at a low rate, one block group frozen.
    Recommended,
    /// ResNet-18 at 32 px, three folds, few epochs; synthetic images unless folders are given.
    Tiny,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SplitName {
    /// Three folds that train on 10 % each.
    SmallTrain,
    /// Four folds that train on 67.5 % each.
    LargeTrain,
    /// One split: 70 % train, 20 % validation, 10 % test.
    Single,
    /// A fold for each group (see --group-by) or each --image-dir: it is tested on, the others
    /// train.
    LeaveOneGroupOut,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum OfflineAugmentationName {
    /// Mirrored left-right, up-down and both ways.
    Flips,
    /// Three copies, each blurred, equalised, turned, shifted or otherwise changed by chance.
    Heavy,
    /// What the paper's script makes: the three flips, and one copy that is changed by more
    /// operations, and more strongly.
    Paper,
}

/// The options of every experiment.
#[derive(Debug, Clone, Parser)]
pub struct ExperimentArguments {
    /// Sizes and lengths. What another option says counts more than the preset.
    #[arg(long, value_enum, default_value = "paper")]
    pub(crate) preset: Preset,
    #[command(flatten)]
    pub(crate) images: ImageArguments,
    /// The folder of the study. An interrupted one goes on where it stopped.
    #[arg(long)]
    model_dir: Option<PathBuf>,
    /// Start anew: what is in the folder is moved to one beside it.
    #[arg(long)]
    fresh: bool,
    /// The network to start from, in our safetensors format (see `import_checkpoint`).
    #[arg(long)]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Side of the images that networks see, in pixels.
    #[arg(long)]
    image_size: Option<usize>,
    /// How labelled images are divided.
    #[arg(long, value_enum)]
    split: Option<SplitName>,
    /// Number of folds.
    #[arg(long)]
    folds: Option<usize>,
    /// Part of each class in a fold's chunk.
    #[arg(long)]
    fold_fraction: Option<f64>,
    /// Parts of the training images whose labels are used, separated by commas.
    #[arg(long, value_delimiter = ',')]
    label_fraction: Option<Vec<f64>>,
    /// Copies of every training image, and of what self-supervision sees, made after the
    /// split; validation and test images have none.
    #[arg(long, alias = "enlarge", value_enum)]
    offline_augmentation: Option<OfflineAugmentationName>,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many seeds, up to 1000; everything is repeated with each.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Keep only the inputs of the networks' blocks for the backward pass, and compute the rest
    /// again: less memory, more time, the same results.
    #[arg(long)]
    gradient_checkpointing: bool,
    #[command(flatten)]
    fine_tuning: FineTuneArguments,
    #[command(flatten)]
    pub(crate) device: DeviceArgument,
    /// Compute the I-th of N parts of the study, written I/N; the last one that is finished
    /// writes the report. For the tasks of a cluster's job array, on a file system that they
    /// share.
    #[arg(long, value_name = "I/N")]
    cell: Option<Part>,
    /// How the work is shown.
    #[arg(skip)]
    pub(crate) progress: ProgressMode,
}

/// What a study needs beside its images.
#[derive(Clone, Copy, Default)]
pub(crate) struct StudyParts<'a> {
    /// Networks are trained by self-supervision on its images.
    pub(crate) self_supervision: bool,
    /// The network that methods start from.
    pub(crate) start: Option<&'a SimClr>,
    /// The class that is also told from all the others.
    pub(crate) binary: Option<&'a str>,
}

/// Options that an experiment's are a part of.
pub(crate) trait Options: Clone {
    /// The options of every experiment.
    fn experiment(&mut self) -> &mut ExperimentArguments;
}

impl Options for ExperimentArguments {
    fn experiment(&mut self) -> &mut ExperimentArguments {
        self
    }
}

/// Evaluates an experiment, or the part of it that `--cell` names; the last part that is
/// finished then reports on all of them.
pub(crate) fn in_parts<O: Options>(
    name: &str,
    mut options: O,
    progress: ProgressMode,
    evaluate: impl Fn(O) -> AnyResult,
) -> AnyResult {
    let experiment = options.experiment();
    experiment.progress = progress;
    let Some(part) = experiment.cell else {
        return evaluate(options);
    };
    let whole = experiment.dir(name);
    let joined = match part.resume(&whole)? {
        Some(_) if experiment.fresh => {
            let dir = whole.display();
            return Err(format!(
                "--fresh: the parts of the study in {dir} are finished, but for its report; leave \
                 --fresh out, or take another --model-dir"
            )
            .into());
        }
        Some(joined) => Some(joined),
        None => {
            part.check(&whole)?;
            experiment.model_dir = Some(part.dir(&whole));
            evaluate(options.clone())?;
            part.finish(&whole).map_err(with_options)?
        }
    };
    let Some(joined) = joined else {
        say(format_args!(
            "{name}: part {part} is finished; the last one writes the report"
        ));
        return Ok(());
    };
    let experiment = options.experiment();
    experiment.cell = None;
    // The finished parts are in the folder of the whole.
    experiment.fresh = false;
    experiment.model_dir = Some(whole);
    evaluate(options)?;
    Ok(joined.close()?)
}

impl ExperimentArguments {
    /// The folder of the study.
    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        let default = || Path::new("runs").join(name);
        self.model_dir.clone().unwrap_or_else(default)
    }

    /// The paper's protocol with the preset and the options put over it.
    pub(crate) fn protocol(&self, paper: Protocol) -> AnyResult<Protocol> {
        if matches!(self.preset, Preset::Readme | Preset::Recommended) {
            return Err("--preset readme and recommended are experiment 2's".into());
        }
        self.protocol_of_preset(paper)
    }

    /// [`protocol`](Self::protocol) where the preset is known to have this protocol.
    pub(crate) fn protocol_of_preset(&self, preset: Protocol) -> AnyResult<Protocol> {
        let mut protocol = match self.preset {
            Preset::Tiny => paper::tiny(preset),
            Preset::Paper | Preset::Readme | Preset::Recommended => preset,
        };
        protocol = self.fine_tuning.over(protocol)?;
        if let Some(size) = self.image_size {
            protocol = protocol.with_image_size(size);
        }
        if let Some(fractions) = &self.label_fraction {
            protocol.label_fractions = fractions.clone();
        }
        protocol.folds = self.folds(protocol.folds)?;
        protocol.offline_augmentation = self.offline_augmentation.map(|name| match name {
            OfflineAugmentationName::Flips => OfflineAugmentation::default(),
            OfflineAugmentationName::Heavy => OfflineAugmentation::heavier(Seed(self.seed)),
            OfflineAugmentationName::Paper => OfflineAugmentation::paper(Seed(self.seed)),
        });
        let last = self.seed.checked_add(self.seeds - 1);
        let last = last.ok_or("--seed is too large for so many --seeds")?;
        protocol.seeds = (self.seed..=last).map(Seed).collect();
        Ok(protocol)
    }

    fn folds(&self, preset: FoldScheme) -> AnyResult<FoldScheme> {
        let mut scheme = match self.split {
            None => preset,
            Some(SplitName::SmallTrain) => FoldScheme::small_train(),
            Some(SplitName::LargeTrain) => FoldScheme::large_train(),
            Some(SplitName::Single) => FoldScheme::Single(Fractions::large_train()),
            Some(SplitName::LeaveOneGroupOut) => FoldScheme::leave_one_group_out(),
        };
        match &mut scheme {
            FoldScheme::SmallTrain { folds, fraction }
            | FoldScheme::LargeTrain { folds, fraction } => {
                *folds = self.folds.unwrap_or(*folds);
                *fraction = self.fold_fraction.unwrap_or(*fraction);
            }
            _ if self.folds.is_some() || self.fold_fraction.is_some() => {
                return Err(
                    "--folds and --fold-fraction are for --split small-train and \
                            large-train"
                        .into(),
                );
            }
            _ => {}
        }
        Ok(scheme)
    }

    /// Fails if a network to start from is given where everything starts from scratch.
    pub(crate) fn refuse_checkpoint(&self) -> AnyResult {
        let reason = "this experiment starts from scratch, without --checkpoint; experiment 2 goes \
                      on from a network, and 6 compares with one";
        self.checkpoint
            .as_ref()
            .map_or(Ok(()), |_| Err(reason.into()))
    }

    /// Fails if an option is given that is for training where, without fine-tuning, nothing is trained.
    pub(crate) fn refuse_training(&self, protocol: &Protocol) -> AnyResult {
        if self.gradient_checkpointing && protocol.fine_tune_freeze.is_empty() {
            let reason = "--gradient-checkpointing needs --fine-tune, without which this experiment \
                          fine-tunes no network";
            return Err(reason.into());
        }
        Ok(())
    }

    /// The study: its folder, its settings and its images. Everything is checked before the
    /// folder is made, or moved aside.
    pub(crate) fn study(
        &self,
        name: &str,
        protocol: Protocol,
        parts: StudyParts<'_>,
    ) -> AnyResult<Study> {
        let dir = self.dir(name);
        crate::folders::check_outside("--model-dir", &dir, self.images.dirs())?;
        protocol.validate()?;
        let by_folder = matches!(self.split, Some(SplitName::LeaveOneGroupOut));
        let synthetic = self.preset == Preset::Tiny;
        let seed = Seed(self.seed);
        let mut task = self.images.task(&dir, seed, by_folder, synthetic)?;
        protocol.check_folds(&task)?;
        if parts.self_supervision {
            self.check_pretraining(&dir, &protocol, &task)?;
        }
        if let Some(class) = parts.binary {
            task.with_class_map(&ClassMap::binary(class))?;
        }
        if let Some(network) = parts.start {
            if !protocol.fine_tune_freeze.is_empty() {
                let mut head = network.config().projection_head.clone();
                head.fine_tune_from = protocol.fine_tuning.projection_head.fine_tune_from;
                head.selected_level()?;
            }
            task = task.with_start_network(network)?;
        }
        let device = self.device.open()?;
        if self.fresh {
            let inputs = self.images.dirs().chain(&self.checkpoint);
            crate::folders::move_aside(&dir, inputs)?;
        }
        let study = Study::open_on(dir, protocol, task, device).map_err(with_options)?;
        if let Some((part, whole)) = self.cell.zip(study.dir().parent()) {
            part.check_others(whole).map_err(with_options)?;
        }
        Ok(study
            .with_part(self.cell)
            .with_pause(pause_handle())
            .with_progress(self.progress)
            .with_gradient_checkpointing(self.gradient_checkpointing()))
    }

    fn check_pretraining(&self, dir: &Path, protocol: &Protocol, task: &Task) -> AnyResult {
        protocol.check_pretraining(task)?;
        if dir.exists() || !self.device.is_cpu() {
            // It may be finished, and each run is checked when it begins; what a GPU has is
            // not known.
            return Ok(());
        }
        Ok(protocol.check_memory(task, self.gradient_checkpointing())?)
    }

    /// What training keeps for the backward pass.
    pub(crate) fn gradient_checkpointing(&self) -> GradientCheckpointing {
        if self.gradient_checkpointing {
            GradientCheckpointing::PerBlock
        } else {
            GradientCheckpointing::None
        }
    }
}

/// Options by the ends of the settings that they set.
const OPTIONS: [(&str, &str); 38] = [
    ("pretrain.batch_size", "--train-batch-size"),
    ("pretrain.schedule.epochs", "--train-epochs"),
    ("pretrain.schedule.learning_rate", "--learning-rate"),
    ("pretrain.schedule.scaling", "--learning-rate-scaling"),
    ("pretrain.schedule.warmup_epochs", "--warmup-epochs"),
    ("pretrain.weight_decay", "--weight-decay"),
    ("pretrain.gradient_cache", "--gradient-cache"),
    ("pretrain.loss.temperature", "--temperature"),
    ("pretrain.loss.normalize", "--hidden-norm"),
    (
        "pretrain.encoder",
        "--resnet-depth, --width-multiplier, --sk-ratio, --se-ratio, --batch-norm-decay",
    ),
    ("pretrain.projection_head.layers", "--num-proj-layers"),
    ("pretrain.projection_head.output_size", "--proj-out-dim"),
    (
        "pretrain.linear_classifier",
        "--lineareval-while-pretraining",
    ),
    ("pretrain.optimizer", "--optimizer, --momentum"),
    ("pretrain.policy.size", "--image-size"),
    ("pretrain.policy.blur", "--use-blur"),
    ("pretrain.policy.color_jitter", "--color-jitter-strength"),
    ("pretrain.policy.rotation", "--rock-symmetries"),
    ("supervised.schedule.epochs", "--supervised-epochs"),
    ("supervised.optimizer", "--supervised-adam"),
    ("fine_tune_freeze", "--fine-tune"),
    ("fine_tuning.schedule.epochs", "--fine-tune-epochs"),
    (
        "fine_tuning.schedule.learning_rate",
        "--fine-tune-learning-rate",
    ),
    ("fine_tuning.batch_size", "--fine-tune-batch-size"),
    ("fine_tuning.optimizer", "--fine-tune-adam"),
    (
        "fine_tuning.projection_head.ft_proj_selector",
        "--ft-proj-selector",
    ),
    ("folds", "--split, --folds, --fold-fraction"),
    ("label_fractions", "--label-fraction"),
    ("unlabelled_fractions", "--unlabelled-fraction"),
    ("freeze", "--fine-tune-after-block"),
    ("seeds", "--seed, --seeds"),
    ("offline_augmentation", "--offline-augmentation"),
    ("device", "--device"),
    (
        "dataset digest.labelled",
        "--image-dir, --train-dir, --val-dir, --test-dir, --synthetic-images, --binary, --regroup",
    ),
    ("dataset digest.unlabelled", "--unlabelled-dir"),
    ("digest.groups", "--group-by, --duplicates"),
    ("digest.duplicates", "--duplicates"),
    ("digest.start network", "--checkpoint"),
];

/// Names the options behind the settings in which a study on disk differs.
pub(crate) fn with_options(error: simclr_study::Error) -> Box<dyn std::error::Error + Send + Sync> {
    let simclr_study::Error::Train(inner) = &error else {
        return error.into();
    };
    let simclr_train::Error::RunDiffers { differences, .. } = inner.as_ref() else {
        return error.into();
    };
    let differs = |setting: &str| differences.iter().any(|line| line.starts_with(setting));
    let options = OPTIONS.iter().filter(|(setting, _)| differs(setting));
    let mut options: Vec<_> = options.map(|(_, option)| *option).collect();
    options.push("--fresh to start anew");
    format!("{inner} (options: {})", options.join("; ")).into()
}

/// Writes the report, and prints the results and where the report is.
pub(crate) fn finish(
    name: &str,
    study: &Study,
    more: impl FnOnce(Report) -> simclr_study::Result<Report>,
) -> AnyResult {
    if study.part().is_some() {
        return Ok(());
    }
    let comparison = study.comparison()?;
    let report = study.write_report_with(more)?;
    let fraction = study.protocol().label_fractions.first().copied();
    let fraction = fraction.unwrap_or(1.0);
    let mut line = Vec::new();
    for method in comparison.methods() {
        let accuracy = comparison.accuracy(&method.name, fraction)?;
        line.push(format!("{} {:.1} %", method.name, 100.0 * accuracy.mean));
    }
    say(comparison.table()?);
    say(comparison.paired_table()?);
    say(format_args!(
        "{name}: {} with {} of the labels, report: {}",
        line.join(", "),
        percent(fraction),
        report.display()
    ));
    Ok(())
}
