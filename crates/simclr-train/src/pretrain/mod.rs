//! Self-supervised pretraining: SimCLRv2's first step.

mod config;
mod outcome;
mod start;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::Device;
use simclr_data::{Batch, Dataset, LastBatch, LoaderConfig, Seed, ViewLoader};
use simclr_model::{FrozenEncoder, Parameters, ResNetConfig};

pub use config::PretrainConfig;
pub(crate) use outcome::epoch_means;
pub use outcome::{EpochSummary, PretrainResult};
pub(crate) use start::start_from;

use crate::Result;
use crate::features::dataset_facts;
use crate::run::{ProgressMode, RunFacts};
use crate::schedule::WarmupCosine;
use crate::session::{Plan, Session, SessionOptions, Work};
use crate::trainer::{Objective, StepMetrics, Trainer};

/// The columns of `metrics.csv`, after the step.
const COLUMNS: [&str; 9] = [
    "epoch",
    "learning_rate",
    "total_loss",
    "contrast_loss",
    "contrast_accuracy",
    "contrast_entropy",
    "supervised_loss",
    "supervised_accuracy",
    "weight_decay",
];

/// A pretraining run to be: its settings, where it starts and how it is watched.
///
/// ```no_run
/// use std::sync::Arc;
/// use simclr_data::ImageFolder;
/// use simclr_train::Pretrain;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cores = Arc::new(ImageFolder::unlabelled("cores/")?);
/// let run = Pretrain::resnet(18).image_size(64).batch_size(128).epochs(30).seed(1)
///     .run(cores, "runs/cores")?;
/// println!("contrastive loss {:.3}", run.result.last_epoch().contrast_loss);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Pretrain {
    config: PretrainConfig,
    start: Option<Parameters>,
    options: SessionOptions,
}

/// A finished pretraining run.
#[derive(Debug)]
pub struct PretrainRun {
    /// The trained encoder, ready for features.
    pub encoder: FrozenEncoder,
    /// What was measured, also in `result.json`.
    pub result: PretrainResult,
    /// The run folder.
    pub dir: PathBuf,
    /// The trained network in the run folder, heads included.
    pub model_file: PathBuf,
}

impl Pretrain {
    /// A run with these settings.
    pub fn new(config: PretrainConfig) -> Self {
        Self {
            config,
            start: None,
            options: SessionOptions::default(),
        }
    }

    /// The paper's settings with a ResNet of this depth.
    pub fn resnet(depth: usize) -> Self {
        Self::new(PretrainConfig {
            encoder: ResNetConfig::depth(depth),
            ..PretrainConfig::default()
        })
    }

    /// Side of the square views in pixels. Default: 224.
    pub fn image_size(mut self, size: usize) -> Self {
        self.config = self.config.with_image_size(size);
        self
    }

    /// Images per step. Default: 256.
    pub fn batch_size(mut self, images: usize) -> Self {
        self.config.batch_size = images;
        self
    }

    /// Passes over the images. Default: 100.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.config.schedule.epochs = epochs;
        self
    }

    /// The seed of initial weights, order and views. Default: 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.config.seed = seed;
        self
    }

    /// Starts from these parameters instead of random ones. Heads that are not
    /// among them start from the seed; the encoder must be complete.
    pub fn start_from(mut self, parameters: Parameters) -> Self {
        self.start = Some(parameters);
        self
    }

    /// Where the network lives. Default: the CPU.
    pub fn device(mut self, device: Device) -> Self {
        self.options.device = device;
        self
    }

    /// How the run is shown. Default: not at all.
    pub fn progress(mut self, progress: ProgressMode) -> Self {
        self.options.progress = progress;
        self
    }

    /// Epochs between checkpoints; the last epoch always has one. Default: 1.
    pub fn checkpoint_epochs(mut self, epochs: NonZeroUsize) -> Self {
        self.options.checkpoint_epochs = epochs;
        self
    }

    /// How many of the newest checkpoints are kept. Default: 5.
    pub fn keep_checkpoints(mut self, keep: NonZeroUsize) -> Self {
        self.options.keep_checkpoints = keep;
        self
    }

    /// Memory for decoded images that are kept from epoch to epoch. Default: 2 GiB.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.options.cache_bytes = bytes;
        self
    }

    /// The encoder before its first step: what pretraining has to be better than.
    ///
    /// # Errors
    /// Settings out of range, or a network to start from that does not fit.
    pub fn untrained(&self) -> Result<FrozenEncoder> {
        self.config.validate()?;
        Ok(start::initial_model(self, 0)?.encoder().frozen())
    }

    /// The settings.
    pub fn config(&self) -> &PretrainConfig {
        &self.config
    }

    /// Runs, or goes on where an interrupted run in `dir` stopped. A finished run
    /// is not repeated: its outcome is read back.
    ///
    /// # Errors
    /// Settings out of range; a batch larger than the data; a folder that holds
    /// another run; an image that cannot be read; a loss that is no longer finite.
    pub fn run(&self, images: Arc<dyn Dataset>, dir: impl Into<PathBuf>) -> Result<PretrainRun> {
        self.config.validate()?;
        let classes = images.class_names().len();
        let session = Session::open(Plan {
            stage: "pretraining",
            dir: dir.into(),
            config: &self.config,
            facts: RunFacts::default()
                .seed("run", self.config.seed)
                .dataset("unlabelled", dataset_facts("images", images.as_ref())),
            columns: &COLUMNS,
            epochs: self.config.schedule.epochs,
            loader: self.loader(images.clone())?,
            trainer: self.trainer(classes, images.len())?,
            options: &self.options,
        })?;
        let outcome = session.run(&mut BothViews)?.record(
            |finished| {
                finished.save_network()?;
                PretrainResult::new(finished, &self.config, images.len())
            },
            PretrainResult::summary,
        )?;
        if outcome.result.collapsed {
            tracing::warn!(
                "the contrastive loss is that of a network that tells no image from another; \
                 try a smaller learning rate, or more warm-up"
            );
        }
        Ok(PretrainRun {
            encoder: outcome.trainer.model().encoder().frozen(),
            result: outcome.result,
            dir: outcome.dir,
            model_file: outcome.model_file,
        })
    }

    fn loader(&self, images: Arc<dyn Dataset>) -> Result<ViewLoader> {
        let config = LoaderConfig {
            batch_size: self.config.batch_size,
            seed: Seed(self.config.seed),
            last_batch: LastBatch::Straddle,
            cache_bytes: self.options.cache_bytes,
            ..LoaderConfig::default()
        };
        Ok(ViewLoader::new(images, self.config.policy.clone(), config)?)
    }

    fn trainer(&self, classes: usize, images: usize) -> Result<Trainer> {
        let config = &self.config;
        Trainer::new(
            start::initial_model(self, classes)?,
            Objective::Pretrain(config.loss),
            &config.optimizer,
            config.weight_decay,
            WarmupCosine::new(&config.schedule, images, config.batch_size)?,
        )
    }
}

/// A batch of pretraining: two views of each image.
struct BothViews;

impl Work for BothViews {
    fn step(&mut self, trainer: &mut Trainer, batch: &Batch) -> Result<StepMetrics> {
        trainer.step(&batch.views, batch.labels.as_ref())
    }
}
