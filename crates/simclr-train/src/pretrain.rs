//! Self-supervised pretraining: SimCLRv2's first step.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use simclr_collective::Collective;
use simclr_data::{Dataset, DepthNeighbours, IntoDataset};
use simclr_model::FrozenEncoder;

use crate::config::LoopConfig;
use crate::contrastive::ContrastiveObjective;
use crate::error::{Error, Result};
use crate::gradient_cache::largest_chunk;
use crate::health::{EFFECTIVE_RANK, WatchedImages};
use crate::identity;
use crate::images::facts_of;
use crate::pretrain_config::PretrainConfig;
use crate::pretrain_result::PretrainResult;
use crate::ranks::follower::Follower;
use crate::ranks::leader::ending_all;
use crate::ranks::objective::RankObjective;
use crate::ranks::state::share;
use crate::resume::KeptNetwork;
use crate::run::{MODEL, RunFacts};
use crate::run_spec::{PreparedRun, RunSpec, TrainingInputs};

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
/// println!("contrastive loss {:?}", run.result.last_epoch().contrast_loss);
/// # Ok(())
/// # }
/// ```
pub type Pretrain = RunSpec<PretrainConfig>;

/// A finished pretraining run.
#[derive(Debug, Clone)]
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
        let (images, dir) = (images.into_dataset(), dir.into());
        match &self.options.ranks {
            None => self.run_alone(images, dir),
            Some(ranks) => ending_all(ranks.as_ref(), || self.run_on_rank(ranks, images, dir)),
        }
    }

    fn run_alone(&self, images: Arc<dyn Dataset>, dir: PathBuf) -> Result<PretrainRun> {
        let objective = ContrastiveObjective {
            loss: self.config.loss,
        };
        let prepared = self.prepare(&dir, self.inputs(&images)?, objective)?;
        self.lead(prepared, images, dir)
    }

    /// One rank's part of a run: that of rank 0 leads the others and writes the run folder.
    fn run_on_rank(
        &self,
        ranks: &Arc<dyn Collective>,
        images: Arc<dyn Dataset>,
        dir: PathBuf,
    ) -> Result<PretrainRun> {
        self.check_ranks(ranks.size())?;
        let objective = RankObjective {
            loss: self.config.loss,
            ranks: Arc::clone(ranks),
            global_batch_norm: self.options.global_batch_norm,
        };
        let prepared = self.prepare(&dir, self.inputs(&images)?, objective)?;
        if ranks.rank() == 0 {
            let run = self.lead(prepared, images, dir)?;
            share(ranks.as_ref(), Some(&run.result))?;
            return Ok(run);
        }
        let follower = Follower {
            ranks: Arc::clone(ranks),
            loader: prepared.loader,
            trainer: prepared.trainer,
            device: &self.options.device,
            on_nan: self.options.on_nan,
        };
        let trainer = follower.follow(&dir)?;
        Ok(PretrainRun {
            encoder: trainer.model().encoder().frozen(),
            result: share(ranks.as_ref(), None)?,
            model_file: dir.join(MODEL),
            dir,
        })
    }

    fn inputs(&self, images: &Arc<dyn Dataset>) -> Result<TrainingInputs> {
        self.config.validate()?;
        let num_classes = images.class_names().len();
        let guidance = self.config.depth_guidance;
        if guidance.positive_radius.is_some() && self.config.linear_classifier && num_classes > 0 {
            let expected = "off where second views are of neighbours, whose labels may differ";
            return Err(Error::setting("linear classifier", expected, "on"));
        }
        let mut identity = BTreeMap::new();
        if guidance.needs_positions() {
            let positions = DepthNeighbours::new(images.as_ref())?.digest();
            identity.insert(identity::POSITIONS, Some(positions));
        }
        Ok(TrainingInputs {
            num_classes,
            facts: RunFacts::default().dataset("unlabelled", facts_of(images.as_ref())?),
            identity,
            images: images.clone(),
        })
    }

    /// Takes the steps and records them.
    fn lead(
        &self,
        prepared: PreparedRun<'_, PretrainConfig>,
        images: Arc<dyn Dataset>,
        dir: PathBuf,
    ) -> Result<PretrainRun> {
        let size = self.config.policy.size.0;
        // No more than in a step, so that they do not raise the peak of memory.
        let chunk = largest_chunk(self.config.gradient_cache, self.config.batch_size);
        let at_once = PretrainConfig::VIEWS * chunk;
        let watched = WatchedImages::of(&images, size, at_once, &self.options.device)?;
        let columns = [EFFECTIVE_RANK];
        let mut run = self.open(dir, prepared, &columns, KeptNetwork::Last)?;
        if let Some(oddity) = watched.oddity()? {
            run.notice("images", oddity)?;
        }
        if let Some(radius) = self.config.depth_guidance.positive_radius {
            let alone = DepthNeighbours::new(images.as_ref())?.alone(radius);
            if alone > 0 {
                let text = format!(
                    "{alone} of {} images have no other within {radius} m; both of their views are \
                     their own",
                    images.len()
                );
                run.notice("positives", text)?;
            }
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
