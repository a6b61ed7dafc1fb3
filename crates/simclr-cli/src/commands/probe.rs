//! `simclr probe`.

use std::path::PathBuf;

use candle_core::Device;
use clap::{Args, ValueEnum};
use simclr_augment::Policy;
use simclr_checkpoint::LoadNetwork;
use simclr_classifier::{Classifier, ClassifierConfig, HeadConfig};
use simclr_data::{DatasetExt, Fractions, Groups, Seed};
use simclr_eval::probes::{KNearest, LinearProbe, LogisticProbe};
use simclr_model::{Encoder, SimClr};
use simclr_progress::{ProgressMode, Stage};

use crate::{AnyResult, images};

/// Makes a classifier of an encoder and images with labels, and says how good it is.
///
/// A part of the images is set aside: the validation images choose the penalty, calibrate the confidence
/// and say what is novel, and the figures are those of the test images.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The encoder: a network in our format, such as a run's `model.safetensors`.
    #[arg(long)]
    encoder: PathBuf,
    /// A folder with a folder of images per class, or a table (CSV) with columns `image` or `tile`, and
    /// `class`: the `tiles.csv` of labelled tiles, for example.
    #[arg(long)]
    labels: PathBuf,
    /// The classifier's file.
    #[arg(long)]
    out: PathBuf,
    /// What turns features into classes.
    #[arg(long, value_enum, default_value = "logistic")]
    head: HeadName,
    /// Side of the images that the encoder sees, in pixels.
    #[arg(long, default_value_t = 96)]
    image_size: usize,
    /// The share of images to fit the head to.
    #[arg(long, default_value_t = 0.6)]
    train_fraction: f64,
    /// The share of images for choices and calibration; the rest is for testing.
    #[arg(long, default_value_t = 0.2)]
    validation_fraction: f64,
    /// Keep images together whose file names agree in what this regular expression captures: `^(.*)_r` for
    /// the tiles of a section.
    #[arg(long)]
    group_by: Option<String>,
    /// Seed of the split and of the head.
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
    /// The supervised head that the network has from fine-tuning on these classes.
    FineTuned,
}

impl Arguments {
    pub(crate) fn run(&self, progress: ProgressMode) -> AnyResult {
        let images = images::labelled(&self.labels)?;
        let fractions = Fractions {
            train: self.train_fraction,
            validation: self.validation_fraction,
        };
        let (split, note) = match &self.group_by {
            Some(pattern) => {
                let groups = Groups::by_pattern(images.as_ref(), pattern)?;
                let note = format!(
                    "{} groups by `{pattern}`, seed {}",
                    groups.count(),
                    self.seed
                );
                (
                    images.split_grouped(&groups, fractions, Seed(self.seed))?,
                    note,
                )
            }
            None => (
                images.split(fractions, Seed(self.seed))?,
                format!("stratified, seed {}", self.seed),
            ),
        };
        let head = match self.head {
            HeadName::Logistic | HeadName::FineTuned => {
                HeadConfig::Logistic(LogisticProbe::default())
            }
            HeadName::Linear => HeadConfig::LinearProbe(
                LinearProbe::paper()
                    .with_epochs(100)
                    .with_seed(Seed(self.seed)),
            ),
            HeadName::Neighbours => HeadConfig::Neighbours(KNearest::default()),
        };
        let config = ClassifierConfig::default()
            .with_head(head)
            .with_policy(Policy::probe(self.image_size))
            .with_split_note(note);
        let stage = Stage::new("features", Classifier::fitting_steps(&split) as u64);
        let mut progress = progress.start(stage);
        let classifier = match self.head {
            HeadName::FineTuned => {
                let model = SimClr::load(&self.encoder, &Device::Cpu)?;
                Classifier::of_network(model, &split, &config, progress.as_mut())?
            }
            _ => {
                let encoder = Encoder::load(&self.encoder, &Device::Cpu)?.frozen();
                Classifier::fit(&encoder, &split, &config, progress.as_mut())?
            }
        };
        progress.finish("done");
        classifier.save(&self.out)?;
        let info = classifier.info();
        let figures = &info.figures;
        for (class, f1) in info.classes.iter().zip(&figures.class_f1) {
            println!("  {class}: F1 {f1:.3}");
        }
        println!(
            "probe: accuracy {:.1} %, macro F1 {:.3} on {} test images ({} to train, {} to validate; {})",
            100.0 * figures.accuracy,
            figures.macro_f1,
            info.split.test,
            info.split.train,
            info.split.validation,
            info.split_note
        );
        println!(
            "calibration: error {:.3} before, {:.3} with temperature {:.2}; novelty above {:.3} ({:.1} % of the test images)",
            figures.ece_before,
            figures.ece_after,
            info.temperature,
            info.novelty_threshold,
            100.0 * figures.novel
        );
        println!("classifier -> {}", self.out.display());
        Ok(())
    }
}
