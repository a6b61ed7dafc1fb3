//! The objective of fine-tuning and of supervised training.

use simclr_model::{Mode, SimClr};

use crate::contrastive::with_cross_entropy;
use crate::error::{Error, Result};
use crate::objective::{Loss, Objective, TrainingBatch, logits_of};

/// The cross-entropy of the supervised head, with gradients into everything that is not frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SupervisedObjective;

impl Objective for SupervisedObjective {
    fn metrics(&self) -> Vec<&'static str> {
        vec!["supervised_loss", "supervised_accuracy"]
    }

    fn views_per_image(&self) -> Option<usize> {
        Some(1)
    }

    fn loss(&self, model: &SimClr, batch: &TrainingBatch<'_>) -> Result<Loss> {
        let labels = batch.all_labels()?.ok_or(Error::NoLabels {
            operation: "supervised training",
            missing: "labels",
        })?;
        let output = model.forward_fine_tuning(batch.views, Mode::Train)?;
        let logits = logits_of(output.logits, "supervised training")?;
        with_cross_entropy(Loss::default(), &logits, &labels)
    }
}
