//! Means over folds and seeds, and how far to trust them.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::{Error, Result};

/// Mean, spread and confidence interval of repeated measurements.
///
/// With n values, mean m and sample standard deviation s (divisor n - 1) the
/// interval is m +- t s / sqrt(n), where t is the quantile of Student's
/// distribution with n - 1 degrees of freedom. It takes the values for
/// independent; folds that share training images are not quite, and their
/// intervals come out somewhat too narrow.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many values.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Their sample standard deviation; `None` for a single value.
    pub standard_deviation: Option<f64>,
    /// The ends of the confidence interval; `None` for a single value.
    pub interval: Option<(f64, f64)>,
    /// The confidence level of the interval.
    pub level: f64,
}

impl Summary {
    /// Sums up `values` with a confidence interval of 95 %.
    ///
    /// # Errors
    /// As [`with_level`](Self::with_level).
    pub fn of(values: &[f64]) -> Result<Self> {
        Self::with_level(values, 0.95)
    }

    /// Sums up `values` with a confidence interval of `level`, in (0, 1).
    ///
    /// # Errors
    /// [`Error::Evaluation`] if there are no values, one is not finite, or the
    /// level is no probability.
    pub fn with_level(values: &[f64], level: f64) -> Result<Self> {
        if !(level > 0.0 && level < 1.0) {
            return Err(wrong(format!("level {level} is not between 0 and 1")));
        }
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return Err(wrong(format!("finite values expected, got {values:?}")));
        }
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count as f64;
        let standard_deviation = (count > 1).then(|| {
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            (squares / (count as f64 - 1.0)).sqrt()
        });
        let interval = match standard_deviation {
            None => None,
            Some(deviation) => {
                let quantile = student_t(count)?.inverse_cdf(0.5 + 0.5 * level);
                let half = quantile * deviation / (count as f64).sqrt();
                Some((mean - half, mean + half))
            }
        };
        Ok(Self {
            count,
            mean,
            standard_deviation,
            interval,
            level,
        })
    }
}

impl From<Summary> for simclr_report::Cell {
    fn from(summary: Summary) -> Self {
        Self::Estimate(simclr_report::Estimate {
            count: summary.count,
            mean: summary.mean,
            standard_deviation: summary.standard_deviation,
            interval: summary.interval,
        })
    }
}

/// Two methods on the same folds and seeds: what matters is the difference within
/// each pair, from which the differences between folds cancel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairedComparison {
    /// The differences, first method minus second.
    pub difference: Summary,
    /// In how many pairs the first method is ahead.
    pub wins: usize,
    /// The probability of a mean difference at least this large, either way,
    /// if the methods were equal (paired t test); `None` for a single pair.
    pub p_value: Option<f64>,
}

impl PairedComparison {
    /// Compares `first[i]` with `second[i]`.
    ///
    /// # Errors
    /// [`Error::Evaluation`] if the lists differ in length, are empty or hold
    /// something that is not finite.
    pub fn of(first: &[f64], second: &[f64]) -> Result<Self> {
        if first.len() != second.len() {
            return Err(wrong(format!(
                "{} values are to be paired with {}",
                first.len(),
                second.len()
            )));
        }
        let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| a - b).collect();
        let difference = Summary::of(&differences)?;
        let (count, mean) = (differences.len(), difference.mean.abs());
        let p_value = match difference.standard_deviation {
            None => None,
            // All differences are the same.
            Some(0.0) => Some(if mean == 0.0 { 1.0 } else { 0.0 }),
            Some(deviation) => {
                let t = mean / (deviation / (count as f64).sqrt());
                Some(2.0 * student_t(count)?.sf(t))
            }
        };
        Ok(Self {
            difference,
            wins: differences.iter().filter(|value| **value > 0.0).count(),
            p_value,
        })
    }
}

/// Student's distribution for the mean of `count` values.
fn student_t(count: usize) -> Result<StudentsT> {
    StudentsT::new(0.0, 1.0, count as f64 - 1.0).map_err(|error| wrong(error.to_string()))
}

fn wrong(reason: String) -> Error {
    Error::evaluation("summary of repeated measurements", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6 * b.abs().max(1.0)
    }

    #[test]
    fn three_folds_are_summed_up_as_by_hand() {
        let summary = Summary::of(&[0.80, 0.83, 0.86]).unwrap();
        assert_eq!(summary.count, 3);
        assert!(close(summary.mean, 0.83));
        assert!(close(summary.standard_deviation.unwrap(), 0.03));
        let (low, high) = summary.interval.unwrap();
        let half = 4.302_652_730 * 0.03 / 3f64.sqrt();
        assert!(close(low, 0.83 - half) && close(high, 0.83 + half));
    }

    #[test]
    fn quantiles_agree_with_the_tables_and_with_the_tails() {
        let quantile = |degrees: usize, level: f64| {
            let distribution = student_t(degrees + 1).unwrap();
            let quantile = distribution.inverse_cdf(0.5 + 0.5 * level);
            (quantile, 2.0 * distribution.sf(quantile))
        };
        for (degrees, level, expected) in [
            (1, 0.95, 12.706_204_736_2),
            (2, 0.95, 4.302_652_729_9),
            (3, 0.99, 5.840_909_309_7),
            (4, 0.99, 4.604_094_871_4),
            (9, 0.9, 1.833_112_932_7),
            (30, 0.95, 2.042_272_456_3),
            (1000, 0.95, 1.962_339_080_8),
        ] {
            let (result, _) = quantile(degrees, level);
            assert!((result - expected).abs() < 1e-9, "{degrees}: {result}");
        }
        for degrees in 1..40 {
            for level in [0.01, 0.5, 0.9, 0.999] {
                let (_, tails) = quantile(degrees, level);
                assert!((tails - (1.0 - level)).abs() < 1e-12, "{degrees} {level}");
            }
        }
    }

    #[test]
    fn a_single_value_has_no_spread_and_bad_values_are_refused() {
        let single = Summary::of(&[0.5]).unwrap();
        assert_eq!((single.standard_deviation, single.interval), (None, None));
        assert_eq!(single.mean, 0.5);
        for (values, level) in [
            (vec![], 0.95),
            (vec![1.0, f64::NAN], 0.95),
            (vec![1.0], 1.0),
            (vec![1.0], f64::NAN),
        ] {
            assert!(
                Summary::with_level(&values, level).is_err(),
                "{values:?} {level}"
            );
        }
    }

    #[test]
    fn pairs_are_compared_by_their_differences() {
        let comparison = PairedComparison::of(&[0.80, 0.70, 0.90], &[0.76, 0.67, 0.85]).unwrap();
        assert_eq!(comparison.wins, 3);
        assert!(close(comparison.difference.mean, 0.04));
        let t = 0.04 / (0.01 / 3f64.sqrt());
        // The distribution with two degrees of freedom has a closed form.
        let expected = 1.0 - t / (2.0 + t * t).sqrt();
        assert!(close(comparison.p_value.unwrap(), expected));
    }

    #[test]
    fn equal_methods_and_constant_differences_have_p_values_too() {
        let same = PairedComparison::of(&[1.0, 2.0], &[1.0, 2.0]).unwrap();
        assert_eq!((same.wins, same.p_value), (0, Some(1.0)));
        let ahead = PairedComparison::of(&[2.0, 3.0], &[1.0, 2.0]).unwrap();
        assert_eq!((ahead.wins, ahead.p_value), (2, Some(0.0)));
        assert!(PairedComparison::of(&[1.0], &[1.0, 2.0]).is_err());
    }
}
