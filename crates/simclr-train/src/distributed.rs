//! Pretraining on several ranks.

use std::sync::Arc;

use simclr_collective::Collective;

use crate::error::{Error, Result};
use crate::pretrain_config::PretrainConfig;
use crate::run_spec::RunSpec;

impl RunSpec<PretrainConfig> {
    /// Trains on several ranks, each with an equal part of every batch, as if one rank had all of
    /// it: `batch_size` is that of all ranks together. Default: this process alone.
    ///
    /// Every rank calls [`run`](crate::Pretrain::run) with the same settings and images. An image has the
    /// same views whatever the number of ranks; the embeddings of all ranks are each other's
    /// negatives; gradients are added up in rank order. So the result is that of one rank to
    /// rounding, and to the bit that of as many ranks of another form. Rank 0 alone writes to the
    /// run folder, asks callbacks and shows progress; a run can be resumed with another number of
    /// ranks. Where settings, images, versions or instructions differ, no step is taken. If one
    /// rank fails, all end with its message.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use simclr_collective::run_threads;
    /// use simclr_data::{Seed, SyntheticCores};
    /// use simclr_train::Pretrain;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path().join("run");
    /// let cores = SyntheticCores::new(16, 32, Seed(1))?;
    /// let runs = run_threads(2, |ranks| {
    ///     let pretrain = Pretrain::resnet(18).image_size(32).batch_size(8).epochs(1);
    ///     pretrain.ranks(ranks).run(cores.clone(), &dir)
    /// });
    /// for run in runs {
    ///     assert_eq!(run?.result.steps, 2);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn ranks(mut self, ranks: Arc<dyn Collective>) -> Self {
        self.options.ranks = (ranks.size() > 1).then_some(ranks);
        self
    }

    /// Whether batch norms take their statistics over the batches of all ranks (the original's
    /// `global_bn`). Otherwise each rank has statistics of its own, the moving ones are the means
    /// of those of all ranks, and the result depends on the number of ranks. Default: true.
    pub fn global_batch_norm(mut self, global: bool) -> Self {
        self.options.global_batch_norm = global;
        self
    }

    pub(crate) fn check_ranks(&self, ranks: usize) -> Result<()> {
        let batch_size = self.config.batch_size;
        if !batch_size.is_multiple_of(ranks) {
            let expected = format!("a multiple of the {ranks} ranks");
            return Err(Error::setting("batch size", expected, batch_size));
        }
        if let Some(images) = self.config.gradient_cache {
            let expected = "none on several ranks, whose batch norms and losses go together";
            return Err(Error::setting("gradient cache", expected, images));
        }
        match &self.objective {
            None => Ok(()),
            Some(own) => {
                let expected = "the loop's own on several ranks, whose loss spans all of them";
                Err(Error::setting("objective", expected, own.describe()))
            }
        }
    }
}
