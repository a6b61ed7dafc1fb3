//! Self-supervised pretraining: SimCLRv2's first step.

mod config;
mod outcome;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use simclr_data::{Batch, Dataset};
use simclr_model::{FrozenEncoder, ResNetConfig};

pub use config::PretrainConfig;
pub(crate) use outcome::epoch_means;
pub use outcome::{EpochSummary, PretrainResult};

use crate::Result;
use crate::run::RunFacts;
use crate::session::Work;
use crate::trainer::{StepMetrics, Trainer};
use crate::training_loop::{Material, TrainingLoop};
use simclr_data::dataset_facts;

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
pub type Pretrain = TrainingLoop<PretrainConfig>;

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
    /// The paper's settings with a ResNet of this depth.
    pub fn resnet(depth: usize) -> Self {
        Self::new(PretrainConfig {
            encoder: ResNetConfig::depth(depth),
            ..PretrainConfig::default()
        })
    }

    /// The encoder before its first step: what pretraining has to be better than.
    ///
    /// # Errors
    /// Settings out of range, or a network to start from that does not fit.
    pub fn untrained(&self) -> Result<FrozenEncoder> {
        self.config.validate()?;
        Ok(self.initial_network(0)?.encoder().frozen())
    }

    /// Runs, or goes on where an interrupted run in `dir` stopped. A finished run
    /// is not repeated: its outcome is read back.
    ///
    /// # Errors
    /// Settings out of range; a batch larger than the data; a folder that holds
    /// another run; an image that cannot be read; a loss that is no longer finite.
    pub fn run(&self, images: Arc<dyn Dataset>, dir: impl Into<PathBuf>) -> Result<PretrainRun> {
        self.config.validate()?;
        let material = Material {
            classes: images.class_names().len(),
            facts: RunFacts::default()
                .dataset("unlabelled", dataset_facts("images", images.as_ref())),
            identity: BTreeMap::new(),
            images: images.clone(),
        };
        let outcome = self.carry_out(
            dir.into(),
            material,
            |_| Ok(BothViews),
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
}

/// A batch of pretraining: two views of each image.
struct BothViews;

impl Work for BothViews {
    fn step(&mut self, trainer: &mut Trainer, batch: &Batch) -> Result<StepMetrics> {
        trainer.step(&batch.views, batch.labels.as_ref())
    }
}
