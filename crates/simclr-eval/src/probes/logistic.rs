//! Multinomial logistic regression to convergence, with the penalty chosen on validation.

use candle_core::{D, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::Examples;
use crate::metrics::{ClassificationReport, ConfusionMatrix, arg_max};
use crate::{Error, Result};
use simclr_report::percent;

const OPERATION: &str = "logistic regression";

/// The strong probe: the best that a linear classifier can do with the features.
///
/// Features are standardised with the training set's means and deviations. For each
/// penalty `p` the convex problem
///
/// ```text
/// minimise over W, b:  mean cross-entropy of softmax(x W + b) + p ||W||^2 / 2
/// ```
///
/// is solved by accelerated gradient descent with restarts (O'Donoghue, Candes 2015),
/// from the strongest penalty down, each from the last one's solution. The penalty
/// with the highest validation accuracy wins, the stronger of several.
///
/// The solver is this crate's own: a step is two products on candle's tensors and needs no
/// line search, while the L-BFGS of general crates brings vector types of its own, keeps ten
/// gradients and evaluates the same two products several times a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LogisticProbe {
    /// The penalties to try. Default 10, 3, 1, ... 0.0001.
    pub penalties: Vec<f64>,
    /// Steps per penalty at most. Default 2000.
    pub steps: usize,
    /// Converged when no entry of the gradient is larger. Default 0.0001.
    pub tolerance: f64,
}

impl Default for LogisticProbe {
    fn default() -> Self {
        Self {
            penalties: (0..=10)
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
    /// Sets the penalties to try.
    pub fn with_penalties(mut self, penalties: Vec<f64>) -> Self {
        self.penalties = penalties;
        self
    }

    /// Sets the highest number of steps per penalty.
    pub fn with_steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// Sets the largest entry of the gradient at convergence.
    pub fn with_tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// No penalties, or one that is not a positive number; a tolerance that is not a number.
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
        if self.tolerance.is_nan() {
            return Err(Error::setting("tolerance", "a number", self.tolerance));
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
        let classes = class_names.len();
        self.validate()?;
        // From the strongest down.
        let mut penalties = self.penalties.clone();
        penalties.sort_by(|a, b| b.total_cmp(a));
        for other in [&validation, &test] {
            train.check_alike(OPERATION, other)?;
        }
        let scale = Standardisation::of(&train)?;
        let problem = Problem::new(&scale.apply(&train)?, &train, classes)?;
        let (validation_x, test_x) = (scale.apply(&validation)?, scale.apply(&test)?);

        let mut weights = problem.zeros()?;
        let mut tried = Vec::with_capacity(penalties.len());
        let mut best: Option<(TriedPenalty, Vec<f32>)> = None;
        for penalty in penalties {
            let (solution, steps, converged) =
                problem.solve(weights, penalty, self.steps, self.tolerance)?;
            weights = solution;
            let scores: Vec<f32> = weights.logits(&validation_x)?.flatten_all()?.to_vec1()?;
            let predictions = arg_max(&scores, classes)?;
            let confusion = ConfusionMatrix::new(validation.labels(), &predictions, classes)?;
            let attempt = TriedPenalty {
                penalty,
                validation_accuracy: confusion.accuracy(),
                steps,
                converged,
            };
            tried.push(attempt);
            let better = |(best, _): &(TriedPenalty, _)| {
                attempt.validation_accuracy > best.validation_accuracy
            };
            if best.as_ref().is_none_or(better) {
                let scores = weights.logits(&test_x)?.flatten_all()?.to_vec1()?;
                best = Some((attempt, scores));
            }
        }
        let (chosen, test_scores) =
            best.ok_or_else(|| Error::setting("penalties", "at least one", 0))?;
        Ok(LogisticReport {
            penalty: chosen.penalty,
            tried,
            test: ClassificationReport::new(&test_scores, test.labels(), class_names)?,
            test_scores,
        })
    }
}

/// Means and inverse deviations of the training set's features.
struct Standardisation {
    mean: Tensor,
    inverse_deviation: Tensor,
}

impl Standardisation {
    fn of(train: &Examples<'_>) -> Result<Self> {
        let width = train.width();
        let count = train.len() as f64;
        let mut mean = vec![0.0f64; width];
        let mut square = vec![0.0f64; width];
        let rows = || train.features().chunks_exact(width);
        for row in rows() {
            mean.iter_mut()
                .zip(row)
                .for_each(|(m, &x)| *m += f64::from(x) / count);
        }
        for row in rows() {
            for ((s, m), &x) in square.iter_mut().zip(&mean).zip(row) {
                *s += (f64::from(x) - m).powi(2) / count;
            }
        }
        // A feature that never changes says nothing, and must not be blown up.
        let inverse = |s: &f64| if *s > 1e-12 { 1.0 / s.sqrt() } else { 0.0 };
        let tensor = |values: Vec<f32>| Tensor::from_vec(values, (1, width), &Device::Cpu);
        Ok(Self {
            mean: tensor(mean.iter().map(|&m| m as f32).collect())?,
            inverse_deviation: tensor(square.iter().map(|s| inverse(s) as f32).collect())?,
        })
    }

    fn apply(&self, examples: &Examples<'_>) -> Result<Tensor> {
        let centred = examples.tensor()?.broadcast_sub(&self.mean)?;
        Ok(centred.broadcast_mul(&self.inverse_deviation)?)
    }
}

#[derive(Clone)]
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

struct Problem {
    features: Tensor,
    transposed: Tensor,
    targets: Tensor,
    /// A bound on the curvature of the mean cross-entropy.
    curvature: f64,
}

impl Problem {
    fn new(features: &Tensor, train: &Examples<'_>, classes: usize) -> Result<Self> {
        train.check_labels(OPERATION, classes)?;
        let mut targets = vec![0.0f32; train.len() * classes];
        for (row, &label) in targets.chunks_exact_mut(classes).zip(train.labels()) {
            row[label as usize] = 1.0;
        }
        let transposed = features.t()?.contiguous()?;
        Ok(Self {
            curvature: curvature(features, &transposed)?,
            features: features.clone(),
            transposed,
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
        let rate = 1.0 / (self.curvature + penalty);
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

/// Half the largest eigenvalue of `[x 1]' [x 1] / n`, by power iteration, with 10 %
/// to spare: the softmax' own curvature is at most 1/2.
fn curvature(features: &Tensor, transposed: &Tensor) -> Result<f64> {
    let (rows, width) = features.dims2()?;
    // Uneven, so that it is not orthogonal to what is sought.
    let start: Vec<f32> = (0..width).map(|i| 1.0 + (i % 7) as f32 / 7.0).collect();
    let mut direction = Tensor::from_vec(start, (width, 1), &Device::Cpu)?;
    let mut largest = 0.0;
    for _ in 0..50 {
        let image = (transposed.matmul(&features.matmul(&direction)?)? / rows as f64)?;
        let length = f64::from(image.sqr()?.sum_all()?.to_scalar::<f32>()?).sqrt();
        if length == 0.0 {
            break;
        }
        largest = length / f64::from(direction.sqr()?.sum_all()?.to_scalar::<f32>()?).sqrt();
        direction = (image / length)?;
    }
    // The features are centred: the column of ones adds an eigenvalue of its own, 1.
    Ok(0.5 * 1.1 * largest.max(1.0))
}
