//! What comes after each epoch of fine-tuning: the validation images, and the network of the
//! best epoch so far.

use std::path::PathBuf;

use simclr_data::ViewLoader;
use simclr_eval::probes::SplitMetrics;
use simclr_eval::{ImageClassifier, NetworkClassifier, classifier_scores};

use crate::error::Result;
use crate::objective::Metric;
use crate::run::MetricsTable;
use crate::trainer::Trainer;

/// The columns of `metrics.csv` that the validation fills, once an epoch.
pub(crate) const LOSS: &str = "validation_loss";
pub(crate) const ACCURACY: &str = "validation_accuracy";
pub(crate) const WEIGHTED_F1: &str = "validation_weighted_f1";
pub(crate) const COLUMNS: [&str; 3] = [LOSS, ACCURACY, WEIGHTED_F1];

/// Images per forward pass in evaluation.
pub(crate) const EVALUATION_BATCH_SIZE: usize = 64;

/// Validates after each epoch and keeps the best network.
pub(crate) struct Validation {
    /// The validation images; `None` if there are none, and each epoch is the best so far.
    pub(crate) images: Option<ViewLoader>,
    /// The highest accuracy of the epochs so far.
    pub(crate) best: Option<f64>,
    /// Where the network of the best epoch goes.
    pub(crate) model_file: PathBuf,
}

impl Validation {
    /// The columns' values; the loss is NaN if the network's scores are no finite numbers.
    pub(crate) fn after_epoch(&mut self, trainer: &Trainer) -> Result<Vec<Metric>> {
        let Some(images) = &self.images else {
            trainer.save_model(&self.model_file)?;
            return Ok(Vec::new());
        };
        let classifier = NetworkClassifier::new(trainer.model().clone())?;
        let labels = images.dataset().labels("validation")?;
        let scores = classifier_scores(&classifier, images)?;
        if !scores.iter().all(|score| score.is_finite()) {
            return Ok(vec![(LOSS, f64::NAN)]);
        }
        let validation = SplitMetrics::new(
            &labels,
            &scores,
            classifier.classes(),
            EVALUATION_BATCH_SIZE,
        )?;
        if self.best.is_none_or(|best| validation.accuracy > best) {
            trainer.save_model(&self.model_file)?;
            self.best = Some(validation.accuracy);
        }
        Ok(vec![
            (LOSS, validation.loss),
            (ACCURACY, validation.accuracy),
            (WEIGHTED_F1, validation.weighted_f1),
        ])
    }
}

/// The number of the step after which the validation accuracy was the highest, the first of
/// several, with that accuracy; `None` if nothing was validated.
pub(crate) fn best_step(metrics: &MetricsTable) -> Result<Option<(u64, f64)>> {
    let points = metrics.series(ACCURACY)?;
    let best = points
        .into_iter()
        .reduce(|best, point| if point.1 > best.1 { point } else { best });
    Ok(best.map(|(step, accuracy)| (step as u64, accuracy)))
}
