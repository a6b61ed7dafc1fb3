//! Precision-recall and receiver-operating-characteristic curves of a two-class decision.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Precision and recall at every threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrecisionRecallCurve {
    /// The distinct scores, ascending; a sample is positive if its score is at least the threshold.
    pub thresholds: Vec<f64>,
    /// Precision per threshold, and 1 at the end, beyond the highest score.
    pub precision: Vec<f64>,
    /// Recall per threshold, and 0 at the end, beyond the highest score.
    pub recall: Vec<f64>,
    /// `sum of (recall[i] - recall[i + 1]) * precision[i]`.
    pub average_precision: f64,
}

impl PrecisionRecallCurve {
    /// The curve of these scores of the positive class.
    ///
    /// # Errors
    /// Lists of different lengths, no samples, no positive sample, a score that is not a number.
    pub fn new(positive: &[bool], scores: &[f64]) -> Result<Self> {
        let counts = cumulate("precision-recall curve", positive, scores)?;
        let positives = positive.iter().filter(|&&p| p).count();
        if positives == 0 {
            return Err(Error::evaluation(
                "precision-recall curve",
                "no positive sample",
            ));
        }
        let mut curve = Self {
            thresholds: Vec::with_capacity(counts.len()),
            precision: Vec::with_capacity(counts.len() + 1),
            recall: Vec::with_capacity(counts.len() + 1),
            average_precision: 0.0,
        };
        for count in counts.iter().rev() {
            curve.thresholds.push(count.threshold);
            let taken = count.true_positives + count.false_positives;
            curve
                .precision
                .push(count.true_positives as f64 / taken as f64);
            curve
                .recall
                .push(count.true_positives as f64 / positives as f64);
        }
        curve.precision.push(1.0);
        curve.recall.push(0.0);
        curve.average_precision = curve
            .recall
            .windows(2)
            .zip(&curve.precision)
            .map(|(recall, precision)| (recall[0] - recall[1]) * precision)
            .sum();
        Ok(curve)
    }
}

/// True and false positive rate at every threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RocCurve {
    /// False positive rates, from 0 to 1.
    pub false_positive_rate: Vec<f64>,
    /// True positive rates, from 0 to 1.
    pub true_positive_rate: Vec<f64>,
    /// The area under the curve, by the trapezoidal rule.
    pub area: f64,
}

impl RocCurve {
    /// The curve of these scores of the positive class.
    ///
    /// # Errors
    /// Lists of different lengths, not both kinds of sample, a score that is not a number.
    pub fn new(positive: &[bool], scores: &[f64]) -> Result<Self> {
        let counts = cumulate("ROC curve", positive, scores)?;
        let positives = positive.iter().filter(|&&p| p).count();
        let negatives = positive.len() - positives;
        if positives == 0 || negatives == 0 {
            return Err(Error::evaluation(
                "ROC curve",
                format!("{positives} positive and {negatives} negative samples"),
            ));
        }
        let mut false_positive_rate = vec![0.0];
        let mut true_positive_rate = vec![0.0];
        for count in &counts {
            false_positive_rate.push(count.false_positives as f64 / negatives as f64);
            true_positive_rate.push(count.true_positives as f64 / positives as f64);
        }
        let area = false_positive_rate
            .windows(2)
            .zip(true_positive_rate.windows(2))
            .map(|(x, y)| (x[1] - x[0]) * (y[0] + y[1]) / 2.0)
            .sum();
        Ok(Self {
            false_positive_rate,
            true_positive_rate,
            area,
        })
    }
}

/// What is taken for positive from a threshold up.
struct Count {
    threshold: f64,
    true_positives: usize,
    false_positives: usize,
}

/// One entry per distinct score, from the highest down.
fn cumulate(operation: &'static str, positive: &[bool], scores: &[f64]) -> Result<Vec<Count>> {
    if positive.len() != scores.len() || scores.is_empty() {
        return Err(Error::evaluation(
            operation,
            format!("{} labels for {} scores", positive.len(), scores.len()),
        ));
    }
    if let Some(index) = scores.iter().position(|score| score.is_nan()) {
        return Err(Error::evaluation(
            operation,
            format!("score {index} is not a number"),
        ));
    }
    let mut samples: Vec<_> = scores
        .iter()
        .copied()
        .zip(positive.iter().copied())
        .collect();
    samples.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut counts: Vec<Count> = Vec::new();
    let (mut true_positives, mut false_positives) = (0, 0);
    for (threshold, positive) in samples {
        true_positives += usize::from(positive);
        false_positives += usize::from(!positive);
        let count = Count {
            threshold,
            true_positives,
            false_positives,
        };
        match counts.last_mut() {
            Some(last) if last.threshold == threshold => *last = count,
            _ => counts.push(count),
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITIVE: [bool; 4] = [false, false, true, true];
    const SCORES: [f64; 4] = [0.1, 0.4, 0.35, 0.8];

    #[test]
    fn precision_and_recall_as_in_scikit_learn() {
        let curve = PrecisionRecallCurve::new(&POSITIVE, &SCORES).unwrap();
        assert_eq!(curve.thresholds, [0.1, 0.35, 0.4, 0.8]);
        assert_eq!(curve.precision, [0.5, 2.0 / 3.0, 0.5, 1.0, 1.0]);
        assert_eq!(curve.recall, [1.0, 1.0, 0.5, 0.5, 0.0]);
        assert!((curve.average_precision - 0.8333333333333333).abs() < 1e-15);
    }

    #[test]
    fn the_area_is_the_share_of_pairs_in_order() {
        let curve = RocCurve::new(&POSITIVE, &SCORES).unwrap();
        assert_eq!(curve.area, 0.75);
        let tied = RocCurve::new(&[false, true], &[0.5, 0.5]).unwrap();
        assert_eq!(tied.area, 0.5);
    }

    #[test]
    fn unfit_samples_are_refused() {
        assert!(PrecisionRecallCurve::new(&[false], &[0.1]).is_err());
        assert!(PrecisionRecallCurve::new(&[true], &[f64::NAN]).is_err());
        assert!(RocCurve::new(&[true], &[0.1]).is_err());
        assert!(RocCurve::new(&[], &[]).is_err());
    }
}
