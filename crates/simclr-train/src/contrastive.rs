//! The objective of pretraining.

use candle_core::Tensor;
use simclr_loss::{NtXent, NtXentOutput, cross_entropy};
use simclr_model::{Mode, SimClr};

use crate::error::Result;
use crate::objective::{
    EmbeddingObjective, Embeddings, Loss, Objective, TrainingBatch, accuracy, scalar,
};

/// NT-Xent over two views of each image, without the negatives that the batch's mask leaves out; if there are labels and a supervised head, the
/// cross-entropy of a linear classifier that learns alongside on stopped gradients is added, as
/// in the original.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ContrastiveObjective {
    /// The contrastive loss.
    pub loss: NtXent,
}

impl Objective for ContrastiveObjective {
    fn metrics(&self) -> Vec<&'static str> {
        vec![
            "contrast_loss",
            "contrast_accuracy",
            "contrast_entropy",
            "supervised_loss",
            "supervised_accuracy",
        ]
    }

    fn loss(&self, model: &SimClr, batch: &TrainingBatch<'_>) -> Result<Loss> {
        let embeddings = model.forward(batch.views, Mode::Train)?.into();
        self.loss_of(&embeddings, batch)
    }

    fn of_embeddings(&self) -> Option<&dyn EmbeddingObjective> {
        Some(self)
    }
}

impl EmbeddingObjective for ContrastiveObjective {
    fn views(&self) -> usize {
        2
    }

    fn loss_of(&self, embeddings: &Embeddings, batch: &TrainingBatch<'_>) -> Result<Loss> {
        let projection = &embeddings.projection;
        let contrast = match batch.negative_mask {
            None => self.loss.forward(projection)?,
            Some(mask) => self.loss.forward_masked(projection, mask)?,
        };
        with_classifier(contrast, embeddings.logits.as_ref(), batch.all_labels()?)
    }
}

/// The contrastive loss and, if there are labels `[n]` and logits of both views, the loss of the
/// classifier alongside.
pub(crate) fn with_classifier(
    contrast: NtXentOutput,
    logits: Option<&Tensor>,
    labels: Option<Tensor>,
) -> Result<Loss> {
    let loss = Loss::default()
        .with_metric("contrast_loss", scalar(&contrast.loss)?)
        .with_metric("contrast_accuracy", scalar(&contrast.accuracy)?)
        .with_metric("contrast_entropy", scalar(&contrast.entropy)?)
        .with_term(contrast.loss);
    match (labels, logits) {
        // Both views of an image have its label.
        (Some(labels), Some(logits)) => {
            with_cross_entropy(loss, logits, &Tensor::cat(&[&labels, &labels], 0)?)
        }
        _ => Ok(loss),
    }
}

/// Adds the cross-entropy and the accuracy of a supervised head.
pub(crate) fn with_cross_entropy(loss: Loss, logits: &Tensor, labels: &Tensor) -> Result<Loss> {
    let supervised = cross_entropy(logits, labels)?;
    Ok(loss
        .with_metric("supervised_loss", scalar(&supervised)?)
        .with_metric("supervised_accuracy", accuracy(logits, labels)?)
        .with_term(supervised))
}
