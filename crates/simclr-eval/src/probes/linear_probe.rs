//! The paper's linear probe: one dense layer, trained by momentum SGD.

use candle_core::Tensor;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use simclr_augment::{Purpose, Seed, Stream};
use simclr_kernels::backward;
use simclr_loss::cross_entropy;

use super::linear_probe_report::{LinearProbeReport, ProbeEpoch, SplitMetrics};
use super::{Examples, LinearHead};
use crate::metrics::{ClassificationReport, arg_max};
use crate::setters::setters;
use crate::{Error, Result};
use simclr_optim::{Lars, LarsConfig, NamedVariable, Optimizer};

const OPERATION: &str = "linear probe";

/// The settings of the paper's linear probe.
///
/// The paper trains it with LARS, but its variables are among those that LARS
/// leaves alone: in fact it is plain momentum SGD, without weight decay.
///
/// ```
/// use simclr_eval::probes::{Examples, LinearProbe};
///
/// let (features, labels) = ([0.0, 1.0, 0.1, 0.9, 1.0, 0.0, 0.9, 0.2], [0, 0, 1, 1]);
/// let examples = Examples::new(&features, 2, &labels)?;
/// let probe = LinearProbe::paper().with_batch_size(4);
/// let names = ["sandstone".to_owned(), "mudstone".to_owned()];
/// let report = probe.fit(examples, examples, examples, &names)?;
/// assert_eq!(report.test.accuracy, 1.0);
/// # Ok::<(), simclr_eval::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[must_use]
pub struct LinearProbe {
    /// The learning rate of all steps. Default 0.1.
    pub learning_rate: f64,
    /// Momentum. Default 0.9.
    pub momentum: f64,
    /// Images per step; what does not fill a batch is left out, in another order each
    /// epoch. A training set that is smaller is one batch. Default 64.
    pub batch_size: usize,
    /// Epochs. Default 25.
    pub epochs: usize,
    /// Draws the initial weights and the order of images. Default 0.
    pub seed: Seed,
}

impl Default for LinearProbe {
    fn default() -> Self {
        Self::paper()
    }
}

impl LinearProbe {
    /// The paper's settings.
    pub fn paper() -> Self {
        Self {
            learning_rate: 0.1,
            momentum: 0.9,
            batch_size: 64,
            epochs: 25,
            seed: Seed(0),
        }
    }

    setters! {
        with_learning_rate(learning_rate: f64);
        with_momentum(momentum: f64);
        with_batch_size(batch_size: usize);
        with_epochs(epochs: usize);
        with_seed(seed: Seed);
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// No epochs or a batch of 0; a momentum outside [0, 1); a learning rate that is not finite.
    pub fn validate(&self) -> Result<()> {
        for (setting, value) in [("batch size", self.batch_size), ("epochs", self.epochs)] {
            if value == 0 {
                return Err(Error::setting(setting, "at least 1", 0));
            }
        }
        if !self.learning_rate.is_finite() {
            let expected = "a finite number";
            return Err(Error::setting(
                "learning rate",
                expected,
                self.learning_rate,
            ));
        }
        Ok(self.lars().validate()?)
    }

    fn lars(&self) -> LarsConfig {
        LarsConfig::default().with_momentum(self.momentum)
    }

    /// Trains on `train` and reports, after each epoch, all sets.
    ///
    /// # Errors
    /// Sets with rows of different lengths; a label without a class name; no epochs
    /// or a batch of 0; a momentum outside [0, 1); a loss that is not finite.
    pub fn fit(
        &self,
        train: Examples<'_>,
        validation: Examples<'_>,
        test: Examples<'_>,
        class_names: &[String],
    ) -> Result<LinearProbeReport> {
        Ok(self.fit_head(train, validation, test, class_names)?.0)
    }

    /// [`Self::fit`], and the head of the best epoch.
    ///
    /// # Errors
    /// As [`Self::fit`].
    pub fn fit_head(
        &self,
        train: Examples<'_>,
        validation: Examples<'_>,
        test: Examples<'_>,
        class_names: &[String],
    ) -> Result<(LinearProbeReport, LinearHead)> {
        self.validate()?;
        for set in [&train, &validation, &test] {
            train.check_alike(OPERATION, set)?;
            set.check_labels(OPERATION, class_names.len())?;
        }
        let head = LinearHead::initial(train.width(), class_names.len(), self.seed)?;
        let mut training = ProbeTraining::new(head, self)?;
        let mut epochs = Vec::new();
        let mut best: Option<Best> = None;
        for epoch in 1..=self.epochs {
            let (train_loss, train_accuracy) = self.train_epoch(&mut training, &train, epoch)?;
            let scores = [&validation, &test].map(|set| training.head.scores(set));
            let [validation_scores, test_scores] = scores;
            let (validation_scores, test_scores) = (validation_scores?, test_scores?);
            let metrics = |set: &Examples<'_>, scores: &[f32]| {
                SplitMetrics::new(set.labels(), scores, class_names.len(), self.batch_size)
            };
            let record = ProbeEpoch {
                epoch,
                train_loss,
                train_accuracy,
                validation: metrics(&validation, &validation_scores)?,
                test: metrics(&test, &test_scores)?,
            };
            self.check_loss(&record)?;
            let improved = |best: &Best| record.validation.accuracy > best.accuracy;
            if best.as_ref().is_none_or(improved) {
                best = Some(Best {
                    epoch,
                    accuracy: record.validation.accuracy,
                    validation_scores,
                    test_scores,
                    // A copy: training goes on with these variables.
                    head: LinearHead::new(
                        &training.head.kernel.copy()?,
                        &training.head.bias.copy()?,
                    )?,
                });
            }
            epochs.push(record);
        }
        let best = best.ok_or_else(|| Error::setting("epochs", "at least 1", 0))?;
        let report = LinearProbeReport {
            epochs,
            best_epoch: best.epoch,
            test: ClassificationReport::new(&best.test_scores, test.labels(), class_names)?,
            validation: ClassificationReport::new(
                &best.validation_scores,
                validation.labels(),
                class_names,
            )?,
            test_scores: best.test_scores,
        };
        Ok((report, best.head))
    }

    /// That the training has not come to nothing.
    fn check_loss(&self, record: &ProbeEpoch) -> Result<()> {
        let losses = [record.train_loss, record.validation.loss, record.test.loss];
        let bad = losses.iter().find(|loss| !loss.is_finite());
        bad.map_or(Ok(()), |loss| {
            let (epoch, rate) = (record.epoch, self.learning_rate);
            let reason = format!(
                "training diverged: the loss is {loss} in epoch {epoch}, with a learning rate of \
                 {rate}; a lower one may help"
            );
            Err(Error::evaluation(OPERATION, reason))
        })
    }

    fn train_epoch(
        &self,
        training: &mut ProbeTraining,
        train: &Examples<'_>,
        epoch: usize,
    ) -> Result<(f64, f64)> {
        let mut rows: Vec<usize> = (0..train.len()).collect();
        let stream = Stream::new(self.seed).epoch(epoch as u64);
        rows.shuffle(&mut stream.rng(Purpose::Shuffle));
        let (mut loss, mut accuracy, mut steps) = (0.0, 0.0, 0);
        for batch in rows.chunks_exact(self.batch_size.min(train.len())) {
            let (step_loss, step_accuracy) = training.step(train, batch)?;
            loss += step_loss;
            accuracy += step_accuracy;
            steps += 1;
        }
        let steps = f64::from(steps.max(1));
        Ok((loss / steps, accuracy / steps))
    }
}

struct Best {
    epoch: usize,
    accuracy: f64,
    validation_scores: Vec<f32>,
    test_scores: Vec<f32>,
    head: LinearHead,
}

/// A linear head in training, step by step.
#[derive(Debug)]
pub struct ProbeTraining {
    head: LinearHead,
    optimizer: Lars,
    learning_rate: f64,
}

impl ProbeTraining {
    /// Starts from this head, with the learning rate and momentum of `settings`.
    ///
    /// # Errors
    /// A momentum outside [0, 1).
    pub fn new(head: LinearHead, settings: &LinearProbe) -> Result<Self> {
        let variable = |name: &str, variable| NamedVariable {
            name: format!("supervised_head.dense.{name}"),
            variable,
        };
        let variables = [
            variable("kernel", head.kernel.clone()),
            variable("bias", head.bias.clone()),
        ];
        Ok(Self {
            head,
            optimizer: Lars::new(variables, settings.lars())?,
            learning_rate: settings.learning_rate,
        })
    }

    /// Takes one step on these rows; returns loss and accuracy before the update.
    ///
    /// # Errors
    /// A row that is not there, a label that is no class.
    pub fn step(&mut self, examples: &Examples<'_>, rows: &[usize]) -> Result<(f64, f64)> {
        let (features, labels) = examples.batch(rows)?;
        let logits = self.head.logits(&features)?;
        let loss = cross_entropy(&logits, &labels)?;
        self.optimizer.step(&backward(&loss)?, self.learning_rate)?;
        let loss = f64::from(loss.to_scalar::<f32>()?);
        Ok((loss, accuracy(&logits, &labels)?))
    }

    /// The head as it is now.
    pub fn head(&self) -> &LinearHead {
        &self.head
    }

    /// The optimizer as it is now.
    pub fn optimizer(&self) -> &dyn Optimizer {
        &self.optimizer
    }

    /// The metrics of a set; `batch_size` is that of the per-batch means.
    ///
    /// # Errors
    /// Features of another width, a label that is no class, a batch of 0.
    pub fn evaluate(&self, examples: &Examples<'_>, batch_size: usize) -> Result<SplitMetrics> {
        let scores = self.head.scores(examples)?;
        SplitMetrics::new(examples.labels(), &scores, self.head.classes(), batch_size)
    }

    /// The predicted classes.
    ///
    /// # Errors
    /// Features of another width.
    pub fn predict(&self, examples: &Examples<'_>) -> Result<Vec<u32>> {
        arg_max(&self.head.scores(examples)?, self.head.classes())
    }
}

fn accuracy(logits: &Tensor, labels: &Tensor) -> Result<f64> {
    let hits = logits.argmax(1)?.eq(labels)?;
    let share = hits.to_dtype(candle_core::DType::F32)?.mean_all()?;
    Ok(f64::from(share.to_scalar::<f32>()?))
}
