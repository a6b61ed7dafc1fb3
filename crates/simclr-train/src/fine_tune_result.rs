//! What a fine-tuning leaves in `result.json`.

use serde::{Deserialize, Serialize};
use simclr_data::{Split, Subset};

use simclr_eval::metrics::ClassificationReport;
use simclr_report::{Cell, Table, percent};

use crate::completed_run::CompletedRun;
use crate::error::Result;
use crate::run::MetricsTable;
use crate::validation::{ACCURACY, LOSS, WEIGHTED_F1};

/// The outcome of a fine-tuning. Prints as a table of epochs and the test figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FineTuneResult {
    /// How many images each part has.
    pub images: Split<usize>,
    /// Steps in all.
    pub steps: u64,
    /// All epochs.
    pub epochs: Vec<FineTuneEpoch>,
    /// The epoch with the highest validation accuracy, the first of several; without
    /// validation images the last one. Its network is the result.
    pub best_epoch: usize,
    /// The validation images, seen by the network of the best epoch.
    pub validation: Option<ClassificationReport>,
    /// The test images, likewise.
    pub test: Option<ClassificationReport>,
    /// The logits of the test images, `[images, classes]`, flat.
    pub test_scores: Vec<f32>,
    /// Images per second, waiting included and validation not, in the last session.
    pub images_per_second: f64,
    /// The share of that time in which the network waited for data.
    pub waiting_share: f64,
    /// Whether a callback ended it before its last step.
    #[serde(default)]
    pub stopped_early: bool,
}

/// One epoch of a fine-tuning.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct FineTuneEpoch {
    /// The number of the epoch, from 1.
    pub epoch: usize,
    /// The mean over its steps of the cross-entropy, each before the step's update.
    pub train_loss: f64,
    /// The mean over its steps of the accuracy, likewise.
    pub train_accuracy: f64,
    /// The cross-entropy of the validation images after the epoch, if there are any.
    pub validation_loss: Option<f64>,
    /// Their accuracy.
    pub validation_accuracy: Option<f64>,
    /// Their weighted F1.
    pub validation_weighted_f1: Option<f64>,
}

/// What the network of the best epoch makes of the other parts.
pub(crate) struct Evaluation {
    pub(crate) best_epoch: usize,
    pub(crate) validation: Option<ClassificationReport>,
    pub(crate) test: Option<ClassificationReport>,
    pub(crate) test_scores: Vec<f32>,
}

impl FineTuneResult {
    pub(crate) fn new(
        run: &CompletedRun,
        split: &Split<Subset>,
        evaluation: Evaluation,
    ) -> Result<Self> {
        use simclr_data::Dataset;
        Ok(Self {
            images: Split {
                train: split.train.len(),
                validation: split.validation.len(),
                test: split.test.len(),
            },
            steps: run.trainer.steps_taken(),
            epochs: epochs(&run.metrics, &run.epoch_ends)?,
            best_epoch: evaluation.best_epoch,
            validation: evaluation.validation,
            test: evaluation.test,
            test_scores: evaluation.test_scores,
            images_per_second: run.throughput.images_per_second(),
            waiting_share: run.throughput.waiting_share(),
            stopped_early: run.stopped_early,
        })
    }

    /// The last epoch; zeros if there was none.
    pub fn last_epoch(&self) -> FineTuneEpoch {
        self.epochs.last().copied().unwrap_or_default()
    }

    /// The epochs as a table.
    pub fn epoch_table(&self) -> Table {
        let columns = [
            "epoch",
            "train loss",
            "train accuracy",
            "validation loss",
            "validation accuracy",
            "validation F1",
        ];
        let table = Table::new("fine-tuning", "Fine-tuning by epoch").columns(columns);
        let share = |value: Option<f64>| value.map_or(Cell::Text("-".into()), Cell::share);
        self.epochs.iter().fold(table, |table, epoch| {
            table.row([
                Cell::from(epoch.epoch),
                Cell::from(epoch.train_loss),
                Cell::share(epoch.train_accuracy),
                epoch
                    .validation_loss
                    .map_or(Cell::Text("-".into()), Cell::from),
                share(epoch.validation_accuracy),
                share(epoch.validation_weighted_f1),
            ])
        })
    }

    /// One line: how the loss went, which epoch was the best, and how fast it was.
    pub fn summary(&self) -> String {
        let first = self.epochs.first().copied().unwrap_or_default();
        let figure = |name: &str, report: &Option<ClassificationReport>| match report {
            Some(report) => format!(", {name} accuracy {}", percent(report.accuracy)),
            None => String::new(),
        };
        format!(
            "loss {:.3} -> {:.3}, best epoch {}{}{}, {:.1} images/s ({:.0} % of the time waiting \
             for data)",
            first.train_loss,
            self.last_epoch().train_loss,
            self.best_epoch,
            figure("validation", &self.validation),
            figure("test", &self.test),
            self.images_per_second,
            100.0 * self.waiting_share
        )
    }
}

impl std::fmt::Display for FineTuneResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.epoch_table())?;
        write!(f, "{}", self.summary())?;
        match &self.test {
            Some(test) => write!(
                f,
                "\nthe test images after epoch {}:\n{test}",
                self.best_epoch
            ),
            None => Ok(()),
        }
    }
}

/// The epochs, each from the rows of its steps.
fn epochs(metrics: &MetricsTable, ends: &[usize]) -> Result<Vec<FineTuneEpoch>> {
    // An own objective may have other metrics.
    let series = |column: &str| {
        if metrics.columns().iter().any(|name| name == column) {
            metrics.series(column)
        } else {
            Ok(Vec::new())
        }
    };
    let (losses, accuracies) = (series("supervised_loss")?, series("supervised_accuracy")?);
    let validation = [series(LOSS)?, series(ACCURACY)?, series(WEIGHTED_F1)?];
    let starts = std::iter::once(&0).chain(ends);
    let epoch = |(index, (&start, &end)): (usize, (&usize, &usize))| {
        let mean = |points: &[(f64, f64)]| {
            let within = |step: f64| step > start as f64 && step <= end as f64;
            let values = points.iter().filter(|point| within(point.0));
            values.map(|point| point.1).sum::<f64>() / (end - start).max(1) as f64
        };
        let at_end = |points: &[(f64, f64)]| {
            let mut points = points.iter();
            Some(points.find(|point| point.0 == end as f64)?.1)
        };
        let [loss, accuracy, weighted_f1] = &validation;
        FineTuneEpoch {
            epoch: index + 1,
            train_loss: mean(&losses),
            train_accuracy: mean(&accuracies),
            validation_loss: at_end(loss),
            validation_accuracy: at_end(accuracy),
            validation_weighted_f1: at_end(weighted_f1),
        }
    };
    Ok(starts.zip(ends).enumerate().map(epoch).collect())
}
