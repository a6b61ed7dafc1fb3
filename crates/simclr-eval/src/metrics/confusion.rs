//! The confusion matrix and what follows from it.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How often each class was taken for each class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Counts")]
pub struct ConfusionMatrix {
    /// `counts[true class][predicted class]`.
    counts: Vec<Vec<u64>>,
}

/// A matrix as it is read, which need not be square.
#[derive(Deserialize)]
struct Counts {
    counts: Vec<Vec<u64>>,
}

impl TryFrom<Counts> for ConfusionMatrix {
    type Error = String;

    fn try_from(Counts { counts }: Counts) -> Result<Self, String> {
        let classes = counts.len();
        match counts.iter().find(|row| row.len() != classes) {
            None => Ok(Self { counts }),
            Some(row) => Err(format!(
                "a confusion matrix of {classes} rows has one of {} numbers",
                row.len()
            )),
        }
    }
}

/// Precision, recall and F1 of one class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// The share of the predictions of this class that are right; 0 if there are none.
    pub precision: f64,
    /// The share of the members of this class that are found; 0 if there are none.
    pub recall: f64,
    /// The harmonic mean of precision and recall; 0 if both are 0.
    pub f1: f64,
    /// The members of this class.
    pub support: u64,
}

impl ConfusionMatrix {
    /// Counts the pairs of true and predicted class.
    ///
    /// # Errors
    /// Lists of different lengths, no samples, or a class of `classes` or more.
    pub fn new(labels: &[u32], predictions: &[u32], classes: usize) -> Result<Self> {
        const OPERATION: &str = "confusion matrix";
        if labels.len() != predictions.len() || labels.is_empty() {
            let (labels, predictions) = (labels.len(), predictions.len());
            let reason = format!("{labels} labels for {predictions} predictions");
            return Err(Error::evaluation(OPERATION, reason));
        }
        let mut counts = vec![vec![0; classes]; classes];
        for (&label, &prediction) in labels.iter().zip(predictions) {
            let class = label.max(prediction);
            if class as usize >= classes {
                return Err(Error::unknown_class(OPERATION, class, classes));
            }
            counts[label as usize][prediction as usize] += 1;
        }
        Ok(Self { counts })
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.counts.len()
    }

    /// `counts()[true class][predicted class]`.
    pub fn counts(&self) -> &[Vec<u64>] {
        &self.counts
    }

    /// The number of samples.
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// The share of samples on the diagonal.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = self.counts.iter().enumerate().map(|(c, row)| row[c]).sum();
        ratio(right, self.total())
    }

    /// Precision, recall and F1 of every class.
    pub fn per_class(&self) -> Vec<ClassScores> {
        (0..self.classes())
            .map(|class| self.scores(class))
            .collect()
    }

    /// The mean F1, weighted by the number of members of each class.
    pub fn weighted_f1(&self) -> f64 {
        self.weighted(|scores| scores.f1)
    }

    /// The mean precision, weighted by the number of members of each class.
    pub fn weighted_precision(&self) -> f64 {
        self.weighted(|scores| scores.precision)
    }

    /// The mean recall, weighted by the number of members of each class (equals the accuracy).
    pub fn weighted_recall(&self) -> f64 {
        self.weighted(|scores| scores.recall)
    }

    /// The plain mean of F1 over the classes that occur among labels or predictions,
    /// as scikit-learn takes it.
    pub fn macro_f1(&self) -> f64 {
        let seen: Vec<f64> = (0..self.classes())
            .filter(|&class| self.support(class) + self.predicted(class) > 0)
            .map(|class| self.scores(class).f1)
            .collect();
        if seen.is_empty() {
            return 0.0;
        }
        seen.iter().sum::<f64>() / seen.len() as f64
    }

    fn weighted(&self, score: impl Fn(&ClassScores) -> f64) -> f64 {
        let total = self.total();
        if total == 0 {
            return 0.0;
        }
        let sum: f64 = self
            .per_class()
            .iter()
            .map(|scores| score(scores) * scores.support as f64)
            .sum();
        sum / total as f64
    }

    fn scores(&self, class: usize) -> ClassScores {
        let hits = self.counts[class][class];
        let (support, predicted) = (self.support(class), self.predicted(class));
        ClassScores {
            precision: ratio(hits, predicted),
            recall: ratio(hits, support),
            f1: ratio(2 * hits, support + predicted),
            support,
        }
    }

    fn support(&self, class: usize) -> u64 {
        self.counts[class].iter().sum()
    }

    fn predicted(&self, class: usize) -> u64 {
        self.counts.iter().map(|row| row[class]).sum()
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_by_hand() {
        // Truth 0 0 0 1 1 2, predicted 0 0 1 1 0 0; class 3 never occurs.
        let matrix = ConfusionMatrix::new(&[0, 0, 0, 1, 1, 2], &[0, 0, 1, 1, 0, 0], 4).unwrap();
        assert_eq!(matrix.accuracy(), 0.5);
        let scores = matrix.per_class();
        assert_eq!((scores[0].precision, scores[0].recall), (0.5, 2.0 / 3.0));
        assert!((scores[0].f1 - 4.0 / 7.0).abs() < 1e-15);
        assert_eq!((scores[2].f1, scores[3].f1), (0.0, 0.0));
        let (f0, f1) = (4.0 / 7.0, 0.5);
        assert!((matrix.macro_f1() - (f0 + f1) / 3.0).abs() < 1e-15);
        assert!((matrix.weighted_f1() - (3.0 * f0 + 2.0 * f1) / 6.0).abs() < 1e-15);
    }

    #[test]
    fn unfit_lists_are_refused() {
        assert!(ConfusionMatrix::new(&[0], &[], 1).is_err());
        assert!(ConfusionMatrix::new(&[], &[], 1).is_err());
        assert!(ConfusionMatrix::new(&[2], &[0], 2).is_err());
        for text in [r#"{"counts":[[]]}"#, r#"{"counts":[[1,2],[3]]}"#] {
            let error = serde_json::from_str::<ConfusionMatrix>(text).unwrap_err();
            assert!(
                error.to_string().contains("a confusion matrix of"),
                "{error}"
            );
        }
    }
}
