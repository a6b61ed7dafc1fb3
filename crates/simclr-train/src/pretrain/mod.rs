//! Self-supervised pretraining: SimCLRv2's first step.

mod config;
mod outcome;
mod session;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::Device;
use simclr_data::Dataset;
use simclr_model::{FrozenEncoder, Parameters, ResNetConfig};

pub use config::PretrainConfig;
pub(crate) use outcome::epoch_means;
pub use outcome::{EpochSummary, PretrainResult};
use session::Session;
pub(crate) use session::start_from;

use crate::Result;
use crate::run::ProgressMode;

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
    device: Device,
    progress: ProgressMode,
    checkpoint_epochs: NonZeroUsize,
    keep_checkpoints: NonZeroUsize,
    cache_bytes: u64,
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
            device: Device::Cpu,
            progress: ProgressMode::Silent,
            checkpoint_epochs: NonZeroUsize::MIN,
            keep_checkpoints: NonZeroUsize::new(5).unwrap_or(NonZeroUsize::MIN),
            cache_bytes: 2 << 30,
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
        self.device = device;
        self
    }

    /// How the run is shown. Default: not at all.
    pub fn progress(mut self, progress: ProgressMode) -> Self {
        self.progress = progress;
        self
    }

    /// Epochs between checkpoints; the last epoch always has one. Default: 1.
    pub fn checkpoint_epochs(mut self, epochs: NonZeroUsize) -> Self {
        self.checkpoint_epochs = epochs;
        self
    }

    /// How many of the newest checkpoints are kept. Default: 5.
    pub fn keep_checkpoints(mut self, keep: NonZeroUsize) -> Self {
        self.keep_checkpoints = keep;
        self
    }

    /// Memory for decoded images that are kept from epoch to epoch. Default: 2 GiB.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// The encoder before its first step: what pretraining has to be better than.
    ///
    /// # Errors
    /// Settings out of range, or a network to start from that does not fit.
    pub fn untrained(&self) -> Result<FrozenEncoder> {
        self.config.validate()?;
        Ok(session::initial_model(self, 0)?.encoder().frozen())
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
        Session::open(self, images, dir.into())?.run()
    }
}
