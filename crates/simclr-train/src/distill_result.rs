//! What a distillation leaves in `result.json`.

use serde::{Deserialize, Serialize};

use crate::completed_run::CompletedRun;
use crate::epochs::epoch_means;
use crate::error::Result;

/// The outcome of a distillation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DistillResult {
    /// How many images the student learned from.
    pub images: usize,
    /// How many of them have a label.
    pub labelled: usize,
    /// Steps in all.
    pub steps: u64,
    /// Means over the steps of each epoch.
    pub epochs: Vec<DistillEpoch>,
    /// Images per second, waiting included, in the last session.
    pub images_per_second: f64,
    /// The share of that time in which the network waited for data.
    pub waiting_share: f64,
    /// Whether a callback ended it before its last step.
    #[serde(default)]
    pub stopped_early: bool,
}

/// Means over the steps of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct DistillEpoch {
    /// The number of the epoch, from 1.
    pub epoch: usize,
    /// The sum of all terms of the loss.
    pub total_loss: f64,
    /// How often student and teacher gave the same class, if there was a teacher. Earlier versions
    /// wrote 0 without one.
    pub agreement: Option<f64>,
    /// Accuracy on the images with labels, if there were any.
    pub supervised_accuracy: Option<f64>,
}

impl DistillResult {
    pub(crate) fn new(run: &CompletedRun, images: usize, labelled: usize) -> Result<Self> {
        let mean = |column| epoch_means(&run.metrics, column);
        let (agreement, accuracy) = (mean("agreement_accuracy")?, mean("supervised_accuracy")?);
        let epochs = mean("total_loss")?;
        let epoch = |(epoch, total_loss): (usize, f64)| DistillEpoch {
            epoch,
            total_loss,
            agreement: agreement.get(&epoch).copied(),
            supervised_accuracy: accuracy.get(&epoch).copied(),
        };
        Ok(Self {
            images,
            labelled,
            steps: run.trainer.steps_taken(),
            epochs: epochs.into_iter().map(epoch).collect(),
            images_per_second: run.throughput.images_per_second(),
            waiting_share: run.throughput.waiting_share(),
            stopped_early: run.stopped_early,
        })
    }

    /// The last epoch; zeros if there was none.
    pub fn last_epoch(&self) -> DistillEpoch {
        self.epochs.last().copied().unwrap_or_default()
    }

    /// One line: how the loss went, how far a teacher is agreed with, and how fast.
    pub fn summary(&self) -> String {
        let first = self.epochs.first().copied().unwrap_or_default();
        let last = self.last_epoch();
        let agreement = last.agreement.map_or(String::new(), |agreement| {
            format!(", agreement with the teacher {agreement:.3}")
        });
        format!(
            "loss {:.3} -> {:.3}{agreement}, {:.1} images/s ({:.0} % of the time waiting for data)",
            first.total_loss,
            last.total_loss,
            self.images_per_second,
            100.0 * self.waiting_share
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(epoch: serde_json::Value) -> DistillResult {
        serde_json::from_value(json!({
            "images": 8,
            "labelled": 8,
            "steps": 4,
            "epochs": [epoch],
            "images_per_second": 10.0,
            "waiting_share": 0.0,
        }))
        .unwrap()
    }

    #[test]
    fn agreement_is_said_where_there_was_a_teacher() {
        let taught = result(json!({"epoch": 1, "total_loss": 0.5, "agreement": 0.75}));
        assert_eq!(taught.last_epoch().agreement, Some(0.75));
        assert_eq!(
            taught.summary(),
            "loss 0.500 -> 0.500, agreement with the teacher 0.750, 10.0 images/s (0 % of the time \
             waiting for data)"
        );
        let untaught = result(json!({"epoch": 1, "total_loss": 0.5}));
        assert_eq!(
            untaught.summary(),
            "loss 0.500 -> 0.500, 10.0 images/s (0 % of the time waiting for data)"
        );
        let written = serde_json::to_value(&untaught).unwrap();
        assert_eq!(written["epochs"][0]["agreement"], json!(null));
        assert_eq!(
            serde_json::from_value::<DistillResult>(written).unwrap(),
            untaught
        );
    }
}
