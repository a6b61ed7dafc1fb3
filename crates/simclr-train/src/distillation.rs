//! The objective of distillation.

use std::fmt;
use std::sync::Arc;

use candle_core::Tensor;
use simclr_eval::ImageClassifier;
use simclr_loss::DistillationLoss;
use simclr_model::{Mode, SimClr};

use crate::error::{Error, Result};
use crate::objective::{Loss, Objective, TrainingBatch, accuracy, logits_of, scalar};

/// The cross-entropy between a teacher's and the student's opinion of the same views, mixed
/// with that of the labels, as far as there are any (see [`DistillationLoss`]).
#[derive(Clone, Default)]
pub struct DistillationObjective {
    /// Temperature and weight of the teacher.
    pub loss: DistillationLoss,
    /// The teacher; without one the student learns from the labels alone.
    pub teacher: Option<Arc<dyn ImageClassifier>>,
}

impl fmt::Debug for DistillationObjective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DistillationObjective")
            .field("loss", &self.loss)
            .field("teacher", &self.teacher.is_some())
            .finish()
    }
}

impl Objective for DistillationObjective {
    fn metrics(&self) -> Vec<&'static str> {
        vec![
            "distillation_loss",
            "agreement_accuracy",
            "supervised_loss",
            "supervised_accuracy",
        ]
    }

    fn views_per_image(&self) -> Option<usize> {
        Some(1)
    }

    fn loss(&self, model: &SimClr, batch: &TrainingBatch<'_>) -> Result<Loss> {
        let teacher = self.teacher.as_ref();
        let teacher = teacher
            .map(|teacher| Ok::<_, Error>(teacher.logits(batch.views)?.to_device(model.device())?))
            .transpose()?;
        let output = model.forward_fine_tuning(batch.views, Mode::Train)?;
        let logits = logits_of(output.logits, "distillation")?;
        let mut loss = Loss::default();
        // Without a teacher its part is left out, and the logits in its place are not looked at.
        let (distilled, supervised) =
            self.loss
                .terms(&logits, teacher.as_ref().unwrap_or(&logits), batch.labels)?;
        if let Some(teacher) = &teacher {
            loss = loss
                .with_metric("distillation_loss", scalar(&distilled)?)
                .with_metric(
                    "agreement_accuracy",
                    accuracy(&logits, &teacher.argmax(1)?)?,
                )
                .with_term(distilled);
        }
        if let Some(supervised) = supervised {
            loss = loss
                .with_metric("supervised_loss", scalar(&supervised)?)
                .with_metric(
                    "supervised_accuracy",
                    labelled_accuracy(&logits, batch.labels)?,
                )
                .with_term(supervised);
        }
        if loss.terms.is_empty() {
            return Err(Error::NoLabels {
                operation: "distillation",
                missing: "a teacher or labels",
            });
        }
        Ok(loss)
    }
}

/// The accuracy on the images that have a label.
fn labelled_accuracy(logits: &Tensor, labels: &[Option<u32>]) -> Result<f64> {
    let labelled = (0u32..).zip(labels);
    let (rows, labels): (Vec<u32>, Vec<u32>) = labelled
        .filter_map(|(row, label)| Some((row, (*label)?)))
        .unzip();
    let device = logits.device();
    let logits = logits.index_select(&Tensor::new(rows, device)?, 0)?;
    accuracy(&logits, &Tensor::new(labels, device)?)
}
