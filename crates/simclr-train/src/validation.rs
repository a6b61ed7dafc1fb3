//! The training steps, and what comes after each epoch: the validation images, and the
//! network of the best epoch so far.

use std::path::PathBuf;

use simclr_data::{Batch, ViewLoader};

use crate::Result;
use crate::run::MetricsTable;
use crate::session::{Figure, Work};
use crate::state;
use crate::trainer::{StepMetrics, Trainer};
use simclr_eval::Classifier;
use simclr_eval::evaluation::SetFigures;
use simclr_eval::{EXTRACTION_BATCH_SIZE, NetworkClassifier, classifier_scores};

/// The columns of `metrics.csv` that the validation fills, once an epoch.
pub(super) const LOSS: &str = "validation_loss";
pub(super) const ACCURACY: &str = "validation_accuracy";
pub(super) const WEIGHTED_F1: &str = "validation_weighted_f1";

/// Trains on the training images and validates after each epoch.
pub(super) struct Validation {
    /// The validation images; `None` if there are none, and each epoch is the best so far.
    pub(super) images: Option<ViewLoader>,
    /// The highest accuracy of the epochs so far.
    pub(super) best: Option<f64>,
    /// Where the network of the best epoch goes.
    pub(super) model_file: PathBuf,
}

impl Work for Validation {
    fn step(&mut self, trainer: &mut Trainer, batch: &Batch) -> Result<StepMetrics> {
        trainer.step(&batch.views, batch.labels.as_ref())
    }

    fn after_epoch(&mut self, trainer: &Trainer, _epoch: usize) -> Result<Vec<Figure>> {
        let Some(images) = &self.images else {
            state::save_trained(&self.model_file, trainer)?;
            return Ok(Vec::new());
        };
        let classifier = NetworkClassifier::new(trainer.model().clone())?;
        let labels = images.dataset().labels("validation")?;
        let scores = classifier_scores(&classifier, images)?;
        let found = SetFigures::new(
            &labels,
            &scores,
            classifier.classes(),
            EXTRACTION_BATCH_SIZE,
        )?;
        if self.best.is_none_or(|best| found.accuracy > best) {
            state::save_trained(&self.model_file, trainer)?;
            self.best = Some(found.accuracy);
        }
        Ok(vec![
            (LOSS, found.loss),
            (ACCURACY, found.accuracy),
            (WEIGHTED_F1, found.weighted_f1),
        ])
    }
}

/// The number of the step after which the validation accuracy was the highest, the first of
/// several, with that accuracy; `None` if nothing was validated.
pub(super) fn best_step(metrics: &MetricsTable) -> Result<Option<(u64, f64)>> {
    let points = metrics.series(ACCURACY)?;
    let best = points
        .into_iter()
        .reduce(|best, point| match point.1 > best.1 {
            true => point,
            false => best,
        });
    Ok(best.map(|(step, accuracy)| (step as u64, accuracy)))
}
