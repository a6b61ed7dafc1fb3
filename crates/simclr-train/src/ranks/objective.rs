//! The objective of pretraining, over the embeddings of all ranks.

use std::sync::Arc;

use simclr_collective::Collective;
use simclr_kernels::with_global_batch_norm;
use simclr_loss::NtXent;
use simclr_model::{Mode, SimClr};

use super::reduction::average_moving_statistics;
use crate::contrastive::{ContrastiveObjective, with_classifier};
use crate::error::Result;
use crate::objective::{Loss, Objective, TrainingBatch};

/// [`ContrastiveObjective`] with the other ranks' images among the negatives: the mean of the
/// losses of all ranks is the loss of the whole batch.
#[derive(Debug)]
pub(crate) struct RankObjective {
    pub(crate) loss: NtXent,
    pub(crate) ranks: Arc<dyn Collective>,
    /// Whether batch norms take their statistics over the batches of all ranks.
    pub(crate) global_batch_norm: bool,
}

impl Objective for RankObjective {
    fn metrics(&self) -> Vec<&'static str> {
        ContrastiveObjective { loss: self.loss }.metrics()
    }

    fn views_per_image(&self) -> Option<usize> {
        ContrastiveObjective { loss: self.loss }.views_per_image()
    }

    fn loss(&self, model: &SimClr, batch: &TrainingBatch<'_>) -> Result<Loss> {
        let forward = || model.forward(batch.views, Mode::Train);
        let output = if self.global_batch_norm {
            with_global_batch_norm(Arc::clone(&self.ranks), forward)?
        } else {
            let output = forward()?;
            average_moving_statistics(self.ranks.as_ref(), model)?;
            output
        };
        let contrast =
            self.loss
                .forward_over_ranks(&output.projection, &self.ranks, batch.negative_mask)?;
        // As for one rank, either all images of the batch have labels or none count.
        let labels = batch.all_labels()?;
        let labelled = self.ranks.all_gather(&[u8::from(labels.is_some())])?;
        let labels = labels.filter(|_| labelled.iter().all(|&labelled| labelled == 1));
        with_classifier(contrast, output.logits.as_ref(), labels)
    }
}
