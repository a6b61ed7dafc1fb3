//! Means over folds and seeds, and how far to trust them.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::repeat::Repeat;
use super::variance::{Variance, squares};
use crate::{Error, Result};

/// Confidence level of all intervals.
const LEVEL: f64 = 0.95;

/// Pairs below which a test says more about chance than about methods.
const FEWEST_PAIRS: usize = 5;

/// Mean, spread and confidence interval over repeats.
///
/// The variance of the mean of J repeats has two parts: that of the test images, as a bootstrap
/// over units finds it (each unit in all repeats at once), and that of training. With S seeds this
/// is `s^2 / S` with the variance `s^2` between the means of seeds, less what their test images
/// explain of it: repeats of a seed may share a pretrained network, so only other seeds show what
/// training adds. It is at least `r^2 / J` with the variance `r^2` between repeats of the same seed
/// and test images (with test images of their own, less what these explain), which is all that a
/// single seed can tell: its interval is about the networks of that seed. A single repeat has the
/// first part alone.
///
/// The interval of a share is Wilson's, with the number of independent images that would have
/// this variance, and Student's t with Welch and Satterthwaite's degrees of freedom: it never
/// leaves [0, 1]. That of a difference is mean ± t · deviation. Units that weigh unequally, as large
/// and small groups do, have fewer degrees of freedom than equal ones. Two or three seeds that differ
/// much leave few, and make a wide interval. But two may agree by chance: with exactly two seeds, or
/// two groups of which each trains for the other, the interval holds the truth in fewer studies, down
/// to 87 of 100.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many repeats.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Their sample standard deviation; `None` for a single one.
    pub standard_deviation: Option<f64>,
    /// The ends of the confidence interval; `None` if there is only one unit, or for values
    /// without their images.
    pub interval: Option<(f64, f64)>,
    /// The confidence level of the interval.
    pub level: f64,
}

impl Summary {
    /// Mean and deviation of values whose images are not known, such as F1 scores.
    ///
    /// # Errors
    /// [`Error::Evaluation`] if there are no values, or one is not finite.
    pub fn of(values: &[f64]) -> Result<Self> {
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return Err(wrong(format!("finite values expected, got {values:?}")));
        }
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count as f64;
        let standard_deviation = (count > 1).then(|| {
            let degrees = count as f64 - 1.0;
            (squares(values) / degrees).sqrt()
        });
        Ok(Self {
            count,
            mean,
            standard_deviation,
            interval: None,
            level: LEVEL,
        })
    }

    /// The share of right answers over repeats, with its interval in [0, 1].
    ///
    /// # Errors
    /// [`Error::Evaluation`] if there are no repeats, one has no test images or not one value
    /// and unit for each, or a value is not in [0, 1].
    pub fn of_shares(repeats: &[Repeat]) -> Result<Self> {
        let mut values = repeats.iter().flat_map(|repeat| &repeat.values);
        if let Some(value) = values.find(|value| !(0.0..=1.0).contains(*value)) {
            return Err(wrong(format!("shares in [0, 1] expected, got {value}")));
        }
        let means = means(repeats)?;
        let summary = Self::of(&means)?;
        let variance = Variance::of(repeats, &means);
        let interval = variance.map(|variance| wilson(summary.mean, &variance));
        Ok(Self {
            interval: interval.transpose()?,
            ..summary
        })
    }
}

fn means(repeats: &[Repeat]) -> Result<Vec<f64>> {
    repeats.iter().map(Repeat::mean).collect()
}

/// Wilson's interval for as many independent images as have the variance of the mean.
fn wilson(mean: f64, variance: &Variance) -> Result<(f64, f64)> {
    let t = student_t(variance.degrees())?.inverse_cdf(0.5 + 0.5 * LEVEL);
    let images = match mean * (1.0 - mean) / variance.total() {
        images if images.is_finite() && images > 0.0 => images,
        _ => variance.units as f64,
    };
    let ratio = t * t / images;
    let centre = (mean + 0.5 * ratio) / (1.0 + ratio);
    let half = (mean * (1.0 - mean) * ratio + 0.25 * ratio * ratio).sqrt() / (1.0 + ratio);
    Ok(((centre - half).max(0.0), (centre + half).min(1.0)))
}

impl From<Summary> for simclr_report::Estimate {
    fn from(summary: Summary) -> Self {
        Self {
            count: summary.count,
            mean: summary.mean,
            standard_deviation: summary.standard_deviation,
            interval: summary.interval,
        }
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
    /// The probability of a mean difference at least this large, either way, if the methods
    /// were equal: a t test with the variance of the interval, in which that of training is counted
    /// `n_test/n_train` times more, as in the corrected resampled t test (Nadeau and Bengio 2003),
    /// because repeats share training images (at most as often as their overlap allows: not at all
    /// if they share none). It is more careful than the interval, which holds the
    /// true difference in about 95 % of all studies. `None` below five pairs, for test images of
    /// one unit, and for differences without any spread.
    pub p_value: Option<f64>,
}

impl PairedComparison {
    /// Compares `first[i]` with `second[i]`, which have the same test images.
    ///
    /// # Errors
    /// [`Error::Evaluation`] if the lists differ in length or in test images, or are empty.
    pub fn of(first: &[Repeat], second: &[Repeat]) -> Result<Self> {
        if first.len() != second.len() {
            let (first, second) = (first.len(), second.len());
            return Err(wrong(format!(
                "{first} repeats are to be paired with {second}"
            )));
        }
        let differences = first.iter().zip(second).map(|(a, b)| a.minus(b));
        let differences: Vec<Repeat> = differences.collect::<Result<_>>()?;
        let means = means(&differences)?;
        let mut difference = Summary::of(&means)?;
        if let Some(variance) = Variance::of_difference(&differences, &means) {
            let student = student_t(variance.degrees())?;
            let half = student.inverse_cdf(0.5 + 0.5 * LEVEL) * variance.total().sqrt();
            let (low, high) = (difference.mean - half, difference.mean + half);
            difference.interval = Some((low.max(-1.0), high.min(1.0)));
        }
        let ahead = |repeat: &&Repeat| repeat.values.iter().sum::<f64>() > 0.0;
        Ok(Self {
            difference,
            wins: differences.iter().filter(ahead).count(),
            p_value: p_value(&differences, &means, difference.mean)?,
        })
    }
}

/// `None` below five pairs, or without any spread.
fn p_value(differences: &[Repeat], means: &[f64], mean: f64) -> Result<Option<f64>> {
    if differences.len() < FEWEST_PAIRS {
        return Ok(None);
    }
    let Some(variance) = Variance::of(differences, means) else {
        return Ok(None);
    };
    let variance = variance.with_shared_training(differences);
    let deviation = variance.total().sqrt();
    if deviation == 0.0 {
        return Ok(None);
    }
    let student = student_t(variance.degrees())?;
    Ok(Some(2.0 * student.sf(mean.abs() / deviation)))
}

fn student_t(degrees: f64) -> Result<StudentsT> {
    StudentsT::new(0.0, 1.0, degrees).map_err(|error| wrong(error.to_string()))
}

fn wrong(reason: String) -> Error {
    Error::evaluation("summary of repeated measurements", reason)
}

#[cfg(test)]
mod tests {
    use simclr_augment::Seed;

    use super::*;

    fn repeat(values: &[f64]) -> Repeat {
        Repeat {
            seed: Seed(0),
            units: (0..values.len()).collect(),
            values: values.to_vec(),
            train: Vec::new(),
        }
    }

    #[test]
    fn one_repeat_of_single_images_has_wilsons_interval() {
        let values: Vec<f64> = (0..100).map(|i| f64::from(u8::from(i < 90))).collect();
        let summary = Summary::of_shares(&[repeat(&values)]).unwrap();
        assert!((summary.mean - 0.9).abs() < 1e-12 && summary.standard_deviation.is_none());
        // Wilson's with z = 1.96 is (0.8256, 0.9448); t of 99 degrees is 1.98.
        let (low, high) = summary.interval.unwrap();
        assert!(
            (low - 0.8256).abs() < 0.003 && (high - 0.9448).abs() < 0.003,
            "{low} {high}"
        );
    }

    #[test]
    fn intervals_stay_within_bounds_and_need_more_than_one_unit() {
        let all_right = [repeat(&[1.0; 10]), repeat(&[1.0; 10])];
        let (low, high) = Summary::of_shares(&all_right).unwrap().interval.unwrap();
        assert!(low > 0.5 && low < 1.0 && high > 0.999, "{low} {high}");
        let one_group = Repeat {
            units: vec![7; 10],
            ..repeat(&[1.0; 10])
        };
        assert_eq!(Summary::of_shares(&[one_group]).unwrap().interval, None);
        for unfit in [vec![], vec![repeat(&[])], vec![repeat(&[1.5])]] {
            assert!(Summary::of_shares(&unfit).is_err(), "{unfit:?}");
        }
    }

    #[test]
    fn images_of_a_group_count_less_than_images_of_their_own() {
        let values: Vec<f64> = (0..40).map(|i| f64::from(u8::from(i % 10 < 6))).collect();
        let grouped = Repeat {
            units: (0..40).map(|i| i % 10).collect(),
            ..repeat(&values)
        };
        let width = |repeat: Repeat| {
            let (low, high) = Summary::of_shares(&[repeat]).unwrap().interval.unwrap();
            high - low
        };
        assert!(width(grouped) > 1.5 * width(repeat(&values)));
    }

    #[test]
    fn few_pairs_have_no_p_value_and_many_have_one_of_a_t_test() {
        let first = repeat(&[1.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
        let second = repeat(&[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        let pairs = |count| {
            let (first, second) = (vec![first.clone(); count], vec![second.clone(); count]);
            PairedComparison::of(&first, &second).unwrap()
        };
        assert_eq!((pairs(3).wins, pairs(3).p_value), (3, None));
        // The folds agree, so all variance is that of six test images: 4 x 1/9 + 2 x 4/9 over
        // 6 x 5, and five degrees of freedom.
        let t = (1.0 / 3.0) / (4.0f64 / 90.0).sqrt();
        let expected = 2.0 * student_t(5.0).unwrap().sf(t);
        let found = pairs(5).p_value.unwrap();
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        let none = PairedComparison::of(&vec![first.clone(); 5], &vec![first.clone(); 5]);
        assert_eq!(none.unwrap().p_value, None);
        assert!(PairedComparison::of(&[first], &[]).is_err());
    }

    #[test]
    fn quantiles_agree_with_the_tables() {
        for (degrees, level, expected) in [
            (1.0, 0.95, 12.706_204_736_2),
            (2.0, 0.95, 4.302_652_729_9),
            (4.0, 0.99, 4.604_094_871_4),
            (30.0, 0.95, 2.042_272_456_3),
            (1000.0, 0.95, 1.962_339_080_8),
        ] {
            let quantile = student_t(degrees).unwrap().inverse_cdf(0.5 + 0.5 * level);
            assert!((quantile - expected).abs() < 1e-9, "{degrees}: {quantile}");
        }
    }
}
