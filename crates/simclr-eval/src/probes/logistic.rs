//! Multinomial logistic regression to convergence, with the penalty chosen on validation.

use candle_core::{D, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Examples, LinearHead};
use crate::analysis::unit_rows;
use crate::metrics::{ClassificationReport, ConfusionMatrix, arg_max, cross_entropies};
use crate::setters::setters;
use crate::{Error, Result};
use simclr_report::percent;

const OPERATION: &str = "logistic regression";

/// The strong probe: the best that a linear classifier can do with the features.
///
/// Features are scaled (see [`FeatureScaling`]), then centred with the training set's mean and
/// divided by the root mean square of its rows' lengths, so that a penalty means the same
/// whatever the number and the size of the features. For each penalty `p` the convex problem
///
/// ```text
/// minimise over W, b:  mean cross-entropy of softmax(x W + b) + p ||W||^2 / 2
/// ```
///
/// is solved by accelerated gradient descent with restarts (O'Donoghue, Candes 2015),
/// from the strongest penalty down, each from the last one's solution. The penalty with the
/// lowest log-loss on the validation set wins, the stronger of several: with few images,
/// accuracies tie or differ by luck. The search ends when the log-loss has risen
/// three times in a row.
///
/// The solver is this crate's own: a step is two products on candle's tensors and needs no
/// line search, while the L-BFGS of general crates brings vector types of its own, keeps ten
/// gradients and evaluates the same two products several times a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[must_use]
pub struct LogisticProbe {
    /// What is done to each row of features first. Default: unit length.
    pub scaling: FeatureScaling,
    /// The penalties to try. Default 10, 3, 1, ... 0.000001.
    pub penalties: Vec<f64>,
    /// Steps per penalty at most. Default 2000.
    pub steps: usize,
    /// Converged when no entry of the gradient is larger. Default 0.0001.
    pub tolerance: f64,
}

/// How features are scaled before a [`LogisticProbe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FeatureScaling {
    /// Each row is divided by its length. With few labels this is far better than statistics
    /// of a few rows, and with many it is no worse.
    #[default]
    UnitLength,
    /// Each column is divided by its standard deviation over the training set.
    Standardized,
    /// Features stay as they are.
    None,
}

/// After how many penalties in a row without a lower log-loss weaker ones are not tried.
const PATIENCE: usize = 3;

impl Default for LogisticProbe {
    fn default() -> Self {
        Self {
            scaling: FeatureScaling::default(),
            penalties: (0..=14)
                .map(|i| {
                    let decade = 10f64.powi(1 - i / 2);
                    if i % 2 == 0 { decade } else { 0.3 * decade }
                })
                .collect(),
            steps: 2000,
            tolerance: 1e-4,
        }
    }
}

/// The result with one penalty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TriedPenalty {
    /// The penalty.
    pub penalty: f64,
    /// Accuracy on the validation set.
    pub validation_accuracy: f64,
    /// Mean cross-entropy on the validation set.
    pub validation_log_loss: f64,
    /// Steps taken.
    pub steps: usize,
    /// Whether the tolerance was reached.
    pub converged: bool,
}

/// The results of a logistic regression. Prints the choice and the test figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogisticReport {
    /// The chosen penalty.
    pub penalty: f64,
    /// All that were tried, from the strongest.
    pub tried: Vec<TriedPenalty>,
    /// The test set with the chosen penalty.
    pub test: ClassificationReport,
    /// The logits of the test set with the chosen penalty, `[samples, classes]`, flat.
    pub test_scores: Vec<f32>,
}

impl std::fmt::Display for LogisticReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let chosen = self
            .tried
            .iter()
            .find(|tried| tried.penalty == self.penalty);
        let accuracy = chosen.map_or(0.0, |tried| tried.validation_accuracy);
        writeln!(
            f,
            "penalty {} (validation accuracy {}); the test set:",
            self.penalty,
            percent(accuracy)
        )?;
        write!(f, "{}", self.test)
    }
}

impl LogisticProbe {
    setters! {
        with_scaling(scaling: FeatureScaling);
        with_penalties(penalties: Vec<f64>);
        with_steps(steps: usize);
        with_tolerance(tolerance: f64);
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// No penalties, or one that is not a positive number; no steps; a tolerance that is negative or
    /// not finite.
    pub fn validate(&self) -> Result<()> {
        if self.penalties.is_empty() {
            return Err(Error::setting("penalties", "at least one", 0));
        }
        let unfit = |penalty: &&f64| !(**penalty > 0.0 && penalty.is_finite());
        if let Some(penalty) = self.penalties.iter().find(unfit) {
            return Err(Error::setting(
                "penalty",
                "a finite number above 0",
                penalty,
            ));
        }
        if self.steps == 0 {
            return Err(Error::setting("steps", "at least 1", 0));
        }
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            let expected = "a finite number, at least 0";
            return Err(Error::setting("tolerance", expected, self.tolerance));
        }
        Ok(())
    }

    /// Fits on `train`, chooses on `validation` and reports `test`.
    ///
    /// # Errors
    /// Sets with rows of different lengths; a label without a class name; no penalties,
    /// or one that is not a positive number.
    pub fn fit(
        &self,
        train: Examples<'_>,
        validation: Examples<'_>,
        test: Examples<'_>,
        class_names: &[String],
    ) -> Result<LogisticReport> {
        train.check_alike(OPERATION, &test)?;
        let model = self.train(train, validation, class_names)?;
        let test_x = model.scale.apply(&test)?;
        let test_scores: Vec<f32> = model.weights.logits(&test_x)?.flatten_all()?.to_vec1()?;
        Ok(LogisticReport {
            penalty: model.penalty,
            tried: model.tried,
            test: ClassificationReport::new(&test_scores, test.labels(), class_names)?,
            test_scores,
        })
    }

    /// Fits on `train` and chooses on `validation`: the model itself.
    ///
    /// # Errors
    /// As [`Self::fit`].
    pub fn train(
        &self,
        train: Examples<'_>,
        validation: Examples<'_>,
        class_names: &[String],
    ) -> Result<LogisticModel> {
        let classes = class_names.len();
        self.validate()?;
        // From the strongest down.
        let mut penalties = self.penalties.clone();
        penalties.sort_by(|a, b| b.total_cmp(a));
        train.check_alike(OPERATION, &validation)?;
        let scale = Scaling::of(self.scaling, &train)?;
        let problem = Problem::new(&scale.apply(&train)?, &train, classes)?;
        let validation_x = scale.apply(&validation)?;
        validation.check_labels(OPERATION, classes)?;

        let mut weights = problem.zeros()?;
        let mut tried: Vec<TriedPenalty> = Vec::with_capacity(penalties.len());
        let mut best: Option<(usize, Weights)> = None;
        for penalty in penalties {
            let (solution, steps, converged) =
                problem.solve(weights, penalty, self.steps, self.tolerance)?;
            weights = solution;
            let scores: Vec<f32> = weights.logits(&validation_x)?.flatten_all()?.to_vec1()?;
            let predictions = arg_max(&scores, classes)?;
            let confusion = ConfusionMatrix::new(validation.labels(), &predictions, classes)?;
            let losses = cross_entropies(&scores, validation.labels(), classes);
            let validation_log_loss = losses.iter().sum::<f64>() / losses.len() as f64;
            tried.push(TriedPenalty {
                penalty,
                validation_accuracy: confusion.accuracy(),
                validation_log_loss,
                steps,
                converged,
            });
            let last = tried.len() - 1;
            match &best {
                Some((best, _)) if validation_log_loss >= tried[*best].validation_log_loss => {
                    if last - best >= PATIENCE {
                        break;
                    }
                }
                _ => best = Some((last, weights.clone())),
            }
        }
        let (chosen, weights) =
            best.ok_or_else(|| Error::setting("penalties", "at least one", 0))?;
        Ok(LogisticModel {
            penalty: tried[chosen].penalty,
            tried,
            scale,
            weights,
        })
    }
}

/// A fitted logistic regression.
#[derive(Debug, Clone)]
pub struct LogisticModel {
    /// The chosen penalty.
    pub penalty: f64,
    /// All that were tried, from the strongest.
    pub tried: Vec<TriedPenalty>,
    scale: Scaling,
    weights: Weights,
}

impl LogisticModel {
    /// The model as one dense layer on the features: rows of unit length with
    /// [`FeatureScaling::UnitLength`], and rows as they are otherwise.
    ///
    /// # Errors
    /// None but those of candle.
    pub fn head(&self) -> Result<LinearHead> {
        // ((x - mean) * factor) W + b = x (factor W) + (b - (mean * factor) W)
        let kernel = self.weights.kernel.broadcast_mul(&self.scale.factor.t()?)?;
        let shift = self.scale.mean.matmul(&kernel)?;
        let bias = (&self.weights.bias - shift)?.flatten_all()?;
        LinearHead::new(&kernel, &bias)
    }
}

/// How rows of features become the rows of a [`Problem`].
#[derive(Debug, Clone)]
struct Scaling {
    how: FeatureScaling,
    /// `[1, width]`.
    mean: Tensor,
    /// `[1, width]`.
    factor: Tensor,
}

impl Scaling {
    fn of(how: FeatureScaling, train: &Examples<'_>) -> Result<Self> {
        let rows = Self::rows(how, train)?;
        let mean = rows.mean_keepdim(0)?;
        let variance = rows.broadcast_sub(&mean)?.sqr()?.mean_keepdim(0)?;
        // A feature that never changes, beside the others, says nothing, and must not be blown up.
        let largest = variance.max_all()?.to_scalar::<f32>()?;
        let changes = variance.gt(f64::from(largest) * 1e-12)?;
        let factor = match how {
            FeatureScaling::Standardized => variance.recip()?.sqrt()?,
            _ => variance.ones_like()?,
        };
        let factor = changes.where_cond(&factor, &factor.zeros_like()?)?;
        let square = (variance * factor.sqr()?)?.sum_all()?.to_scalar::<f32>()?;
        let length = if square > 0.0 {
            f64::from(square).sqrt()
        } else {
            1.0
        };
        Ok(Self {
            how,
            mean,
            factor: (factor / length)?,
        })
    }

    fn rows(how: FeatureScaling, examples: &Examples<'_>) -> Result<Tensor> {
        let rows = examples.tensor()?;
        if how != FeatureScaling::UnitLength {
            return Ok(rows);
        }
        unit_rows(&rows)
    }

    fn apply(&self, examples: &Examples<'_>) -> Result<Tensor> {
        let centred = Self::rows(self.how, examples)?.broadcast_sub(&self.mean)?;
        Ok(centred.broadcast_mul(&self.factor)?)
    }
}

#[derive(Debug, Clone)]
struct Weights {
    /// `[width, classes]`.
    kernel: Tensor,
    /// `[1, classes]`.
    bias: Tensor,
}

impl Weights {
    fn logits(&self, features: &Tensor) -> Result<Tensor> {
        Ok(features.matmul(&self.kernel)?.broadcast_add(&self.bias)?)
    }

    /// `self + factor * other`.
    fn plus(&self, factor: f64, other: &Self) -> Result<Self> {
        Ok(Self {
            kernel: (&self.kernel + (&other.kernel * factor)?)?,
            bias: (&self.bias + (&other.bias * factor)?)?,
        })
    }

    fn dot(&self, other: &Self) -> Result<f64> {
        let kernel = (&self.kernel * &other.kernel)?.sum_all()?;
        let bias = (&self.bias * &other.bias)?.sum_all()?;
        Ok(f64::from((kernel + bias)?.to_scalar::<f32>()?))
    }

    fn largest(&self) -> Result<f64> {
        let largest = |x: &Tensor| x.abs()?.max_all()?.to_scalar::<f32>();
        Ok(f64::from(largest(&self.kernel)?.max(largest(&self.bias)?)))
    }
}

/// A bound on the curvature of the mean cross-entropy: half the largest eigenvalue of
/// `[x 1]' [x 1] / n`, because the softmax' own curvature is at most 1/2. The rows are centred
/// and of unit mean square length, so no eigenvalue is larger than 1, that of the column of ones.
const CURVATURE: f64 = 0.5;

struct Problem {
    features: Tensor,
    transposed: Tensor,
    targets: Tensor,
}

impl Problem {
    fn new(features: &Tensor, train: &Examples<'_>, classes: usize) -> Result<Self> {
        train.check_labels(OPERATION, classes)?;
        let mut targets = vec![0.0f32; train.len() * classes];
        for (row, &label) in targets.chunks_exact_mut(classes).zip(train.labels()) {
            row[label as usize] = 1.0;
        }
        Ok(Self {
            features: features.clone(),
            transposed: features.t()?.contiguous()?,
            targets: Tensor::from_vec(targets, (train.len(), classes), &Device::Cpu)?,
        })
    }

    fn zeros(&self) -> Result<Weights> {
        let (_, width) = self.features.dims2()?;
        let (_, classes) = self.targets.dims2()?;
        let zeros = |shape| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu);
        Ok(Weights {
            kernel: zeros((width, classes))?,
            bias: zeros((1, classes))?,
        })
    }

    fn gradient(&self, weights: &Weights, penalty: f64) -> Result<Weights> {
        let logits = weights.logits(&self.features)?;
        let exp = logits
            .broadcast_sub(&logits.max_keepdim(D::Minus1)?)?
            .exp()?;
        let softmax = exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?;
        let rows = self.features.dim(0)? as f64;
        let error = ((softmax - &self.targets)? / rows)?;
        let kernel = self.transposed.matmul(&error)?;
        Ok(Weights {
            kernel: (kernel + (&weights.kernel * penalty)?)?,
            bias: error.sum_keepdim(0)?,
        })
    }

    /// Accelerated gradient descent; momentum starts anew when it points uphill.
    fn solve(
        &self,
        start: Weights,
        penalty: f64,
        most_steps: usize,
        tolerance: f64,
    ) -> Result<(Weights, usize, bool)> {
        let rate = 1.0 / (CURVATURE + penalty);
        let mut current = start.clone();
        let mut ahead = start;
        let mut inertia = 1.0f64;
        for step in 0..most_steps {
            let gradient = self.gradient(&ahead, penalty)?;
            if gradient.largest()? <= tolerance {
                return Ok((ahead, step, true));
            }
            let next = ahead.plus(-rate, &gradient)?;
            let change = next.plus(-1.0, &current)?;
            if gradient.dot(&change)? > 0.0 {
                inertia = 1.0;
            }
            let following = 0.5 * (1.0 + (1.0 + 4.0 * inertia * inertia).sqrt());
            ahead = next.plus((inertia - 1.0) / following, &change)?;
            current = next;
            inertia = following;
        }
        Ok((current, most_steps, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let probe = LogisticProbe::default();
        for (probe, expected) in [
            (probe.clone().with_steps(0), "steps: "),
            (probe.clone().with_tolerance(-1.0), "tolerance: "),
            (probe.clone().with_tolerance(f64::INFINITY), "tolerance: "),
        ] {
            let error = probe.validate().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        probe.with_tolerance(0.0).validate().unwrap();
    }

    #[test]
    fn features_count_whatever_their_unit() {
        let labels: Vec<u32> = (0..30).map(|index| index % 3).collect();
        let names = ["a", "b", "c"].map(str::to_owned);
        for unit in [1e-8, 1.0, 1e8] {
            let features: Vec<f32> = (0..30 * 3)
                .map(|i| if i % 3 == i / 3 % 3 { unit } else { 0.0 })
                .collect();
            let examples = Examples::new(&features, 3, &labels).unwrap();
            for scaling in [FeatureScaling::Standardized, FeatureScaling::None] {
                let probe = LogisticProbe::default().with_scaling(scaling);
                let report = probe.fit(examples, examples, examples, &names).unwrap();
                assert_eq!(report.test.accuracy, 1.0, "{unit}, {scaling:?}");
            }
        }
    }

    #[test]
    fn the_head_of_a_model_gives_its_scores() {
        let value =
            |name: &'static str| move |index| simclr_testkit::formula_value(name, index, -1.0, 1.0);
        let features: Vec<f32> = (0..30 * 4).map(value("features")).collect();
        let labels: Vec<u32> = (0..30)
            .map(|index| u32::from(features[4 * index] > 0.0))
            .collect();
        let examples = Examples::new(&features, 4, &labels).unwrap();
        let names = ["a".to_owned(), "b".to_owned()];
        for scaling in [
            FeatureScaling::None,
            FeatureScaling::Standardized,
            FeatureScaling::UnitLength,
        ] {
            let probe = LogisticProbe::default().with_scaling(scaling);
            let expected = probe
                .fit(examples, examples, examples, &names)
                .unwrap()
                .test_scores;
            let head = probe
                .train(examples, examples, &names)
                .unwrap()
                .head()
                .unwrap();
            let rows = Scaling::rows(scaling, &examples).unwrap();
            let scores: Vec<f32> = head
                .logits(&rows)
                .unwrap()
                .flatten_all()
                .unwrap()
                .to_vec1()
                .unwrap();
            let largest = scores
                .iter()
                .zip(&expected)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(largest < 1e-3, "{scaling:?}: {largest}");
        }
    }
}
