//! Means of per-batch figures, as the paper's scripts report them.

use serde::{Deserialize, Serialize};

use super::ConfusionMatrix;
use crate::{Error, Result};

/// The batch size of the paper's scripts.
pub const PAPER_BATCH_SIZE: usize = 64;

/// Unweighted means over batches of figures taken per batch. The last batch may
/// be small, and still counts as much as the others: use these figures only to
/// compare with the paper.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchMeans {
    /// The size of the batches.
    pub batch_size: usize,
    /// Mean accuracy.
    pub accuracy: f64,
    /// Mean weighted F1.
    pub weighted_f1: f64,
}

impl BatchMeans {
    /// Cuts the samples, in order, into batches of `batch_size` and averages their figures.
    ///
    /// # Errors
    /// As [`ConfusionMatrix::new`]; a batch size of 0.
    pub fn new(
        labels: &[u32],
        predictions: &[u32],
        classes: usize,
        batch_size: usize,
    ) -> Result<Self> {
        if batch_size == 0 {
            return Err(Error::setting("batch size", "at least 1", 0));
        }
        // The whole set is checked first: chunks of unequal lists would only be cut off.
        ConfusionMatrix::new(labels, predictions, classes)?;
        let batches = labels
            .chunks(batch_size)
            .zip(predictions.chunks(batch_size))
            .map(|(labels, predictions)| ConfusionMatrix::new(labels, predictions, classes))
            .collect::<Result<Vec<_>>>()?;
        let mean = |figure: fn(&ConfusionMatrix) -> f64| {
            batches.iter().map(figure).sum::<f64>() / batches.len() as f64
        };
        Ok(Self {
            batch_size,
            accuracy: mean(ConfusionMatrix::accuracy),
            weighted_f1: mean(ConfusionMatrix::weighted_f1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_last_batch_counts_in_full() {
        let means = BatchMeans::new(&[0, 0, 0, 1, 1], &[0, 0, 0, 1, 0], 2, 4).unwrap();
        assert_eq!((means.accuracy, means.weighted_f1), (0.5, 0.5));
    }
}
