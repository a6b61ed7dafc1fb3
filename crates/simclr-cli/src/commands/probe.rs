//! `simclr probe`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use simclr_augment::Policy;
use simclr_checkpoint::LoadNetwork;
use simclr_classifier::{Classifier, ClassifierConfig, HeadConfig};
use simclr_data::{Dataset, DatasetExt, Fractions, Groups, Seed, Split, Subset};
use simclr_eval::NetworkClassifier;
use simclr_eval::probes::{KNearest, LinearProbe, LogisticProbe};
use simclr_model::Encoder;
use simclr_progress::{ProgressMode, Stage};
use simclr_train::{FineTune, LoopConfig};

use crate::device::DeviceArgument;
use crate::images;
use crate::outputs::check_output;
use crate::terminal::{AnyResult, say};

/// Makes a classifier of an encoder and images with labels, and says how good it is.
///
/// A part of the images is set aside: the validation images choose the penalty, calibrate the
/// confidence and say what is novel, and the figures are those of the test images.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The encoder: a network in our format, such as a run's `model.safetensors`.
    #[arg(long)]
    encoder: PathBuf,
    #[command(flatten)]
    split: SplitArguments,
    /// The classifier's file.
    #[arg(long)]
    out: PathBuf,
    /// What turns features into classes.
    #[arg(long, value_enum, default_value = "logistic")]
    head: HeadName,
    /// Side of the images that the encoder sees, in pixels.
    #[arg(long, default_value_t = 96)]
    image_size: usize,
    #[command(flatten)]
    device: DeviceArgument,
}

/// Images with labels, and how they are split.
#[derive(Debug, Args)]
pub(crate) struct SplitArguments {
    /// A folder with a folder of images per class, or a table (CSV) with columns `image` or `tile`,
    /// and `class`: the `tiles.csv` of labelled tiles, for example.
    #[arg(long)]
    labels: PathBuf,
    /// The share of images to learn from.
    #[arg(long, default_value_t = 0.6)]
    train_fraction: f64,
    /// The share of images for choices and calibration; the rest is for testing.
    #[arg(long, default_value_t = 0.2)]
    validation_fraction: f64,
    /// Keep images together whose file names agree in what this regular expression captures:
    /// `^(.*)_r` for the tiles of a section.
    #[arg(long)]
    group_by: Option<String>,
    /// Seed of the split and of the training.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum HeadName {
    /// Logistic regression to convergence.
    Logistic,
    /// The paper's linear probe.
    Linear,
    /// The vote of the nearest training images.
    Neighbours,
    /// The supervised head that the network has from fine-tuning on these classes. Its file names
    /// them; another order is adapted to, other classes are refused.
    FineTuned,
}

impl SplitArguments {
    /// The folder or table of images with labels.
    pub(crate) fn labels(&self) -> &Path {
        &self.labels
    }

    pub(crate) fn seed(&self) -> Seed {
        Seed(self.seed)
    }

    /// The split, and how it was made, in words.
    pub(crate) fn split(&self) -> AnyResult<(Split<Subset>, String)> {
        let images = images::labelled(&self.labels)?;
        let (split, note) = self.split_of(&images)?;
        for (part, images) in [
            ("training", &split.train),
            ("validation", &split.validation),
            ("testing", &split.test),
        ] {
            if images.is_empty() {
                let Self {
                    train_fraction: train,
                    validation_fraction: validation,
                    ..
                } = self;
                return Err(format!(
                    "--train-fraction {train} and --validation-fraction {validation} leave no image \
                     for {part}, expected at least one in each part"
                )
                .into());
            }
        }
        Ok((split, note))
    }

    fn split_of(&self, images: &Arc<dyn Dataset>) -> AnyResult<(Split<Subset>, String)> {
        let (fractions, seed) = (
            Fractions {
                train: self.train_fraction,
                validation: self.validation_fraction,
            },
            self.seed(),
        );
        let Some(pattern) = &self.group_by else {
            let note = format!("stratified, seed {}", self.seed);
            return Ok((images.split(fractions, seed)?, note));
        };
        let groups = Groups::by_pattern(images.as_ref(), pattern)?;
        let note = format!(
            "{} groups by `{pattern}`, seed {}",
            groups.count(),
            self.seed
        );
        Ok((images.split_grouped(&groups, fractions, seed)?, note))
    }
}

impl Arguments {
    pub(crate) fn run(&self, progress: ProgressMode) -> AnyResult {
        check_output(&self.out, [self.encoder.as_path(), self.split.labels()])?;
        let (split, note) = self.split.split()?;
        let config = ClassifierConfig::default()
            .with_head(self.head())
            .with_policy(Policy::probe(self.image_size))
            .with_split_note(note);
        let device = self.device.open()?;
        let stage = Stage::new("features", Classifier::fitting_steps(&split) as u64);
        let start = || progress.start(stage);
        let classifier = if let HeadName::FineTuned = self.head {
            let network = NetworkClassifier::load(&self.encoder, &device)?;
            say(
                "the head was trained before: its figures hold for test images that it was not \
                 trained on, so keep labels, fractions, seed and groups of the fine-tuning",
            );
            // Images as fine-tuning has evaluated them.
            let training = FineTune::network(network.model())?.config().clone();
            let policy = training.with_view_size(self.image_size).evaluation;
            let config = config.with_policy(policy);
            Classifier::of_network(network, &split, &config, start().as_mut())?
        } else {
            let encoder = Encoder::load(&self.encoder, &device)?.frozen();
            Classifier::fit(&encoder, &split, &config, start().as_mut())?
        };
        classifier.save(&self.out)?;
        describe("probe", &classifier, &self.out);
        Ok(())
    }

    fn head(&self) -> HeadConfig {
        match self.head {
            // The network brings its own.
            HeadName::FineTuned => HeadConfig::default(),
            HeadName::Logistic => HeadConfig::Logistic(LogisticProbe::default()),
            HeadName::Neighbours => HeadConfig::Neighbours(KNearest::default()),
            HeadName::Linear => {
                let probe = LinearProbe::paper().with_epochs(100);
                HeadConfig::LinearProbe(probe.with_seed(self.split.seed()))
            }
        }
    }
}

/// Says how good a classifier is, and where it was written.
pub(crate) fn describe(command: &str, classifier: &Classifier, path: &Path) {
    let info = classifier.info();
    let figures = &info.figures;
    for (class, f1) in info.classes.iter().zip(&figures.class_f1) {
        say(format_args!("  {class}: F1 {f1:.3}"));
    }
    say(format_args!(
        "{command}: accuracy {:.1} %, macro F1 {:.3} on {} test images ({} to train, {} to \
         validate; {})",
        100.0 * figures.accuracy,
        figures.macro_f1,
        info.split.test,
        info.split.train,
        info.split.validation,
        info.split_note
    ));
    say(format_args!(
        "calibration: error {:.3} before, {:.3} with temperature {:.2}; novelty above {:.3} \
         ({:.1} % of the test images)",
        figures.ece_before,
        figures.ece_after,
        info.temperature,
        info.novelty_threshold,
        100.0 * figures.novel
    ));
    say(format_args!("classifier -> {}", path.display()));
}
