//! Self-supervised pretraining: SimCLRv2's first step.

use std::collections::BTreeMap;
use std::path::PathBuf;

use simclr_data::{Dataset, IntoDataset, dataset_facts_with_contents};
use simclr_model::FrozenEncoder;

use crate::config::LoopConfig;
use crate::contrastive::ContrastiveObjective;
use crate::error::Result;
use crate::health::{EFFECTIVE_RANK, WatchedImages};
use crate::pretrain_config::PretrainConfig;
use crate::pretrain_result::PretrainResult;
use crate::resume::KeptNetwork;
use crate::run::RunFacts;
use crate::run_spec::{RunSpec, TrainingInputs};

/// Builder for a pretraining run: two views of each image, and the contrastive loss.
///
/// ```no_run
/// use simclr_data::{ImageFolder, Seed};
/// use simclr_train::Pretrain;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cores = ImageFolder::unlabelled("cores/")?;
/// let run = Pretrain::resnet(18).image_size(64).batch_size(128).epochs(30).seed(Seed(1))
///     .run(cores, "runs/cores")?;
/// println!("contrastive loss {:.3}", run.result.last_epoch().contrast_loss);
/// # Ok(())
/// # }
/// ```
pub type Pretrain = RunSpec<PretrainConfig>;

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
        Self::new(PretrainConfig::resnet(depth))
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
    pub fn run(&self, images: impl IntoDataset, dir: impl Into<PathBuf>) -> Result<PretrainRun> {
        self.config.validate()?;
        let images = images.into_dataset();
        let inputs = TrainingInputs {
            num_classes: images.class_names().len(),
            facts: RunFacts::default().dataset(
                "unlabelled",
                dataset_facts_with_contents("images", images.as_ref())?,
            ),
            identity: BTreeMap::new(),
            images: images.clone(),
        };
        let objective = ContrastiveObjective {
            loss: self.config.loss,
        };
        let size = self.config.policy.size.0;
        let watched = WatchedImages::of(&images, size, &self.options.device)?;
        let columns = [EFFECTIVE_RANK];
        let mut run = self.start(dir.into(), inputs, objective, &columns, KeptNetwork::Last)?;
        if let Some(oddity) = watched.oddity()? {
            run.notice("images", oddity)?;
        }
        let completed = run.run(&mut |trainer| {
            let rank = watched.effective_rank(trainer.model())?;
            Ok(vec![(EFFECTIVE_RANK, rank)])
        })?;
        completed.save_network()?;
        let recorded = completed.record(
            |run| PretrainResult::new(run, &self.config, images.len()),
            PretrainResult::summary,
        )?;
        if recorded.result.collapsed {
            tracing::warn!(
                "the contrastive loss is that of a network that tells no image from another; \
                 try a smaller learning rate, or more warm-up"
            );
        }
        Ok(PretrainRun {
            encoder: recorded.trainer.model().encoder().frozen(),
            result: recorded.result,
            dir: recorded.dir,
            model_file: recorded.model_file,
        })
    }
}
