//! What a pretraining run leaves in `result.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::completed_run::CompletedRun;
use crate::epochs::epoch_means;
use crate::error::Result;
use crate::pretrain_config::PretrainConfig;
use crate::run::MetricsTable;

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
    /// Whether a callback ended it before its last step.
    #[serde(default)]
    pub stopped_early: bool,
}

/// Means over the steps of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct EpochSummary {
    /// The number of the epoch, from 1.
    pub epoch: usize,
    /// The sum of all terms of the loss.
    pub total_loss: f64,
    /// NT-Xent, unless the objective is an own one.
    pub contrast_loss: Option<f64>,
    /// How often the other view was the most similar of all.
    pub contrast_accuracy: Option<f64>,
    /// Entropy of the softmax over the other views, in nats.
    pub contrast_entropy: Option<f64>,
    /// Accuracy of the linear classifier alongside, if there is one.
    pub supervised_accuracy: Option<f64>,
}

impl PretrainResult {
    pub(crate) fn new(run: &CompletedRun, config: &PretrainConfig, images: usize) -> Result<Self> {
        let epochs = EpochSummary::all(&run.metrics)?;
        let loss = epochs.last().and_then(|epoch| epoch.contrast_loss);
        let looks_collapsed = |loss| config.loss.looks_collapsed(loss, config.batch_size);
        Ok(Self {
            images,
            steps: run.trainer.steps_taken(),
            views_per_second: 2.0 * run.throughput.images_per_second(),
            waiting_share: run.throughput.waiting_share(),
            collapsed: loss.is_some_and(|loss| loss > 0.0 && looks_collapsed(loss)),
            stopped_early: run.stopped_early,
            epochs,
        })
    }

    /// The first epoch; zeros and nothing if there was none.
    pub fn first_epoch(&self) -> EpochSummary {
        self.epochs.first().copied().unwrap_or_default()
    }

    /// The last epoch; zeros and nothing if there was none.
    pub fn last_epoch(&self) -> EpochSummary {
        self.epochs.last().copied().unwrap_or_default()
    }

    /// One line: how loss and accuracy went, and how fast.
    pub fn summary(&self) -> String {
        let (first, last) = (self.first_epoch(), self.last_epoch());
        let figures = match (
            first.contrast_loss,
            last.contrast_loss,
            last.contrast_accuracy,
        ) {
            (Some(first), Some(last), Some(accuracy)) => {
                format!("contrastive loss {first:.3} -> {last:.3}, contrast accuracy {accuracy:.3}")
            }
            _ => format!("loss {:.3} -> {:.3}", first.total_loss, last.total_loss),
        };
        format!(
            "{figures}, {:.1} views/s ({:.0} % of the time waiting for data)",
            self.views_per_second,
            100.0 * self.waiting_share
        )
    }
}

impl EpochSummary {
    /// The means over each epoch of a run's `metrics.csv`.
    pub(crate) fn all(table: &MetricsTable) -> Result<Vec<Self>> {
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
                contrast_loss: at(&contrast_loss, epoch),
                contrast_accuracy: at(&contrast_accuracy, epoch),
                contrast_entropy: at(&contrast_entropy, epoch),
                supervised_accuracy: at(&supervised_accuracy, epoch),
            })
            .collect())
    }
}
