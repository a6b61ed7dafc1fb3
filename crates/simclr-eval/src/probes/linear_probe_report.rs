//! The results of a linear probe.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::metrics::{BatchMeans, ClassificationReport, ConfusionMatrix, arg_max, cross_entropies};
use simclr_report::{Cell, Table, percent};

/// The metrics of a set of images after an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SplitMetrics {
    /// Mean cross-entropy over the set.
    pub loss: f64,
    /// Accuracy over the set.
    pub accuracy: f64,
    /// Weighted F1 over the set.
    pub weighted_f1: f64,
    /// Mean of the batches' losses, as the paper's scripts report it.
    pub batch_mean_loss: f64,
    /// Means of the batches' other metrics, likewise.
    pub paper_compatible: BatchMeans,
}

impl SplitMetrics {
    /// Compares `scores` (`[samples, classes]`, flat) with the labels; `batch_size` is that
    /// of the per-batch means.
    ///
    /// # Errors
    /// Scores and labels that do not fit together.
    pub fn new(labels: &[u32], scores: &[f32], classes: usize, batch_size: usize) -> Result<Self> {
        let predictions = arg_max(scores, classes)?;
        let confusion = ConfusionMatrix::new(labels, &predictions, classes)?;
        let losses = cross_entropies(scores, labels, classes);
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let batches: Vec<f64> = losses.chunks(batch_size.max(1)).map(mean).collect();
        Ok(Self {
            loss: mean(&losses),
            accuracy: confusion.accuracy(),
            weighted_f1: confusion.weighted_f1(),
            batch_mean_loss: mean(&batches),
            paper_compatible: BatchMeans::new(labels, &predictions, classes, batch_size)?,
        })
    }
}

/// One epoch of a linear probe.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ProbeEpoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean of the steps' losses.
    pub train_loss: f64,
    /// Mean of the steps' accuracies, each before its update.
    pub train_accuracy: f64,
    /// The validation set.
    pub validation: SplitMetrics,
    /// The test set.
    pub test: SplitMetrics,
}

/// The results of a linear probe. Prints as a table of epochs and the test figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinearProbeReport {
    /// All epochs.
    pub epochs: Vec<ProbeEpoch>,
    /// The epoch with the highest validation accuracy, the first of several; its
    /// test figures are the probe's result.
    pub best_epoch: usize,
    /// The test set at the best epoch.
    pub test: ClassificationReport,
    /// The logits of the test set at the best epoch, `[samples, classes]`, flat.
    pub test_scores: Vec<f32>,
    /// The validation set at the best epoch.
    pub validation: ClassificationReport,
}

impl LinearProbeReport {
    /// The epochs as a table.
    pub fn epoch_table(&self) -> Table {
        let columns = [
            "epoch",
            "train loss",
            "train accuracy",
            "validation loss",
            "validation accuracy",
            "validation F1",
            "test accuracy",
            "test F1",
        ];
        let table = Table::new("probe", "Linear probe by epoch").columns(columns);
        self.epochs.iter().fold(table, |table, epoch| {
            table.row([
                Cell::from(epoch.epoch),
                Cell::from(epoch.train_loss),
                Cell::share(epoch.train_accuracy),
                Cell::from(epoch.validation.loss),
                Cell::share(epoch.validation.accuracy),
                Cell::share(epoch.validation.weighted_f1),
                Cell::share(epoch.test.accuracy),
                Cell::share(epoch.test.weighted_f1),
            ])
        })
    }
}

impl std::fmt::Display for LinearProbeReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.epoch_table())?;
        writeln!(
            f,
            "best validation accuracy {} after epoch {}; the test set there:",
            percent(self.validation.accuracy),
            self.best_epoch
        )?;
        write!(f, "{}", self.test)
    }
}
