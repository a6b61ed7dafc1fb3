//! What a pretraining run leaves in `result.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PretrainConfig;
use crate::Result;
use crate::run::MetricsTable;
use crate::session::Finished;

/// The outcome of a pretraining run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainResult {
    /// How many images it learned from.
    pub images: usize,
    /// Steps in all.
    pub steps: u64,
    /// Means over the steps of each epoch.
    pub epochs: Vec<EpochSummary>,
    /// Views per second, waiting included, in the last session.
    pub views_per_second: f64,
    /// The share of that time in which the network waited for data.
    pub waiting_share: f64,
    /// Whether the contrastive loss ended where that of a network is which maps
    /// every image to the same point.
    pub collapsed: bool,
}

/// Means over the steps of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct EpochSummary {
    /// The number of the epoch, from 1.
    pub epoch: usize,
    /// The sum of all terms of the loss.
    pub total_loss: f64,
    /// NT-Xent.
    pub contrast_loss: f64,
    /// How often the other view was the most similar of all.
    pub contrast_accuracy: f64,
    /// Entropy of the softmax over the other views, in nats.
    pub contrast_entropy: f64,
    /// Accuracy of the linear classifier alongside, if there is one.
    pub supervised_accuracy: Option<f64>,
}

impl PretrainResult {
    pub(super) fn new(finished: &Finished, config: &PretrainConfig, images: usize) -> Result<Self> {
        let epochs = EpochSummary::all(&finished.metrics)?;
        let loss = epochs.last().map_or(0.0, |epoch| epoch.contrast_loss);
        Ok(Self {
            images,
            steps: finished.trainer.steps_taken(),
            views_per_second: 2.0 * finished.pace.images_per_second(),
            waiting_share: finished.pace.waiting_share(),
            collapsed: config.loss.looks_collapsed(loss, config.batch_size),
            epochs,
        })
    }

    /// The first epoch; zeros if there was none.
    pub fn first_epoch(&self) -> EpochSummary {
        self.epochs.first().copied().unwrap_or_default()
    }

    /// The last epoch; zeros if there was none.
    pub fn last_epoch(&self) -> EpochSummary {
        self.epochs.last().copied().unwrap_or_default()
    }

    /// One line: how loss and accuracy went, and how fast.
    pub fn summary(&self) -> String {
        let (first, last) = (self.first_epoch(), self.last_epoch());
        format!(
            "contrastive loss {:.3} -> {:.3}, contrast accuracy {:.3}, {:.1} views/s \
             ({:.0} % of the time waiting for data)",
            first.contrast_loss,
            last.contrast_loss,
            last.contrast_accuracy,
            self.views_per_second,
            100.0 * self.waiting_share
        )
    }
}

impl EpochSummary {
    /// The means over each epoch of a run's `metrics.csv`.
    pub(super) fn all(table: &MetricsTable) -> Result<Vec<Self>> {
        let mean = |column| epoch_means(table, column);
        let total_loss = mean("total_loss")?;
        let contrast_loss = mean("contrast_loss")?;
        let contrast_accuracy = mean("contrast_accuracy")?;
        let contrast_entropy = mean("contrast_entropy")?;
        let supervised_accuracy = mean("supervised_accuracy")?;
        let at = |means: &BTreeMap<usize, f64>, epoch| means.get(&epoch).copied();
        Ok(total_loss
            .iter()
            .map(|(&epoch, &total_loss)| Self {
                epoch,
                total_loss,
                contrast_loss: at(&contrast_loss, epoch).unwrap_or_default(),
                contrast_accuracy: at(&contrast_accuracy, epoch).unwrap_or_default(),
                contrast_entropy: at(&contrast_entropy, epoch).unwrap_or_default(),
                supervised_accuracy: at(&supervised_accuracy, epoch),
            })
            .collect())
    }
}

/// Means of a column over the steps of each epoch.
pub(crate) fn epoch_means(table: &MetricsTable, column: &str) -> Result<BTreeMap<usize, f64>> {
    let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (epoch, value) in table.points("epoch", column)? {
        let (sum, count) = sums.entry(epoch as usize).or_default();
        *sum += value;
        *count += 1.0;
    }
    Ok(sums
        .into_iter()
        .map(|(epoch, (sum, count))| (epoch, sum / count))
        .collect())
}
