//! The training of one cell's network.

use std::fmt;
use std::path::PathBuf;

use simclr_data::{Dataset, Seed, Split, Subset};
use simclr_train::{FineTuneConfig, LoopConfig};

use crate::protocol::Protocol;

/// A cell in which a network is to be trained with labels.
#[derive(Clone)]
pub struct TrainingJob {
    /// The seed.
    pub seed: Seed,
    /// The fraction of the training images whose labels are used.
    pub label_fraction: f64,
    /// A folder for the training run. It is removed once the cell is recorded.
    pub dir: PathBuf,
    /// The images whose labels are used, the ones to choose the epoch with, and the test
    /// images.
    pub split: Split<Subset>,
    /// The protocol's settings for training from scratch, fitted to this job. With few labels
    /// an epoch has few steps, so there are more epochs, up to four times as many, and batches
    /// are no larger than the set.
    pub supervised: FineTuneConfig,
    /// The protocol's settings for fine-tuning, fitted in the same way.
    pub fine_tuning: FineTuneConfig,
}

impl fmt::Debug for TrainingJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrainingJob")
            .field("seed", &self.seed)
            .field("label_fraction", &self.label_fraction)
            .field("dir", &self.dir)
            .field("train_images", &self.split.train.len())
            .field("supervised", &self.supervised)
            .field("fine_tuning", &self.fine_tuning)
            .finish_non_exhaustive()
    }
}

impl TrainingJob {
    pub(crate) fn new(
        protocol: &Protocol,
        seed: Seed,
        label_fraction: f64,
        dir: PathBuf,
        split: Split<Subset>,
    ) -> Self {
        const MOST_EPOCHS: f64 = 4.0;
        let factor = (1.0 / label_fraction).clamp(1.0, MOST_EPOCHS);
        let images = split.train.len().max(1);
        let fitted = |config: &FineTuneConfig| {
            let mut config = config.clone().with_seed(seed);
            config.encoder = protocol.encoder().clone();
            config.batch_size = config.batch_size.min(images);
            config.schedule.epochs = (config.schedule.epochs as f64 * factor).round() as usize;
            config
        };
        Self {
            supervised: fitted(&protocol.supervised),
            fine_tuning: fitted(&protocol.fine_tuning),
            seed,
            label_fraction,
            dir,
            split,
        }
    }
}
