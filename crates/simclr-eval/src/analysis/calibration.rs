//! Calibration: confidence against accuracy.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Predictions whose confidence falls into one interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// The lower end of the interval, excluded (but 0 belongs to the first).
    pub low: f64,
    /// The upper end, included.
    pub high: f64,
    /// How many predictions fall into it.
    pub count: usize,
    /// Their mean confidence; 0 if there are none.
    pub mean_confidence: f64,
    /// The share of them that is right; 0 if there are none.
    pub accuracy: f64,
}

/// Confidence against accuracy, in intervals of equal width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The intervals, from 0 to 1, empty ones included.
    pub bins: Vec<CalibrationBin>,
    /// The expected calibration error: the mean over all predictions of
    /// |accuracy - mean confidence| of their interval (Guo et al., "On
    /// calibration of modern neural networks", 2017).
    pub expected_error: f64,
    /// The largest |accuracy - mean confidence| of an interval that has
    /// predictions.
    pub maximum_error: f64,
}

impl Calibration {
    /// Sorts predictions by their confidence (the largest class probability)
    /// into `bins` intervals; `correct` says which of them are right.
    ///
    /// # Errors
    /// [`Error::Evaluation`] if the lengths differ, there are no predictions or
    /// no bins, or a confidence is not in [0, 1].
    pub fn of(confidences: &[f64], correct: &[bool], bins: usize) -> Result<Self> {
        let wrong = |reason: String| Error::evaluation("calibration", reason);
        if confidences.len() != correct.len() || confidences.is_empty() || bins == 0 {
            return Err(wrong(format!(
                "{} confidences, {} outcomes, {bins} bins",
                confidences.len(),
                correct.len()
            )));
        }
        let mut sums = vec![(0usize, 0.0, 0usize); bins];
        for (confidence, right) in confidences.iter().zip(correct) {
            if !(0.0..=1.0).contains(confidence) {
                return Err(wrong(format!("confidence {confidence} is not in [0, 1]")));
            }
            // The interval (i / bins, (i + 1) / bins]; 0 goes to the first.
            let mut bin = ((confidence * bins as f64).ceil() as usize).saturating_sub(1);
            if *confidence <= bin as f64 / bins as f64 {
                // The product was rounded up.
                bin = bin.saturating_sub(1);
            }
            if let Some((count, sum, hits)) = sums.get_mut(bin) {
                *count += 1;
                *sum += confidence;
                *hits += usize::from(*right);
            }
        }
        let bins: Vec<_> = sums
            .iter()
            .enumerate()
            .map(|(index, (count, sum, hits))| CalibrationBin {
                low: index as f64 / bins as f64,
                high: (index + 1) as f64 / bins as f64,
                count: *count,
                mean_confidence: sum / (*count).max(1) as f64,
                accuracy: *hits as f64 / (*count).max(1) as f64,
            })
            .collect();
        let gap = |bin: &CalibrationBin| (bin.accuracy - bin.mean_confidence).abs();
        let weighted = bins.iter().map(|bin| bin.count as f64 * gap(bin));
        Ok(Self {
            expected_error: weighted.sum::<f64>() / confidences.len() as f64,
            maximum_error: bins.iter().map(gap).fold(0.0, f64::max),
            bins,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_and_errors_are_as_by_hand() {
        let confidences = [0.0, 0.5, 0.55, 0.65, 0.9, 1.0];
        let correct = [false, true, true, false, true, true];
        let calibration = Calibration::of(&confidences, &correct, 2).unwrap();
        let [low, high] = calibration.bins.as_slice() else {
            panic!("{calibration:?}");
        };
        assert_eq!((low.count, high.count), (2, 4));
        assert!((low.mean_confidence - 0.25).abs() < 1e-12);
        assert!((low.accuracy - 0.5).abs() < 1e-12);
        assert!((high.mean_confidence - 0.775).abs() < 1e-12);
        assert!((high.accuracy - 0.75).abs() < 1e-12);
        let expected = (2.0 * 0.25 + 4.0 * 0.025) / 6.0;
        assert!((calibration.expected_error - expected).abs() < 1e-12);
        assert!((calibration.maximum_error - 0.25).abs() < 1e-12);
    }

    #[test]
    fn the_upper_end_of_an_interval_belongs_to_it() {
        for bins in [1, 3, 7, 10, 100] {
            for end in 1..=bins {
                let confidence = end as f64 / bins as f64;
                let calibration = Calibration::of(&[confidence], &[true], bins).unwrap();
                assert_eq!(calibration.bins[end - 1].count, 1, "{confidence}");
            }
        }
        let hundred = Calibration::of(&[0.07, 0.14, 0.28, 0.56], &[true; 4], 100).unwrap();
        let of_end = |high: f64| hundred.bins.iter().find(|bin| bin.high == high).unwrap();
        assert!(
            [0.07, 0.14, 0.28, 0.56]
                .iter()
                .all(|&high| of_end(high).count == 1)
        );
    }

    #[test]
    fn empty_bins_do_not_count() {
        let calibration = Calibration::of(&[0.95, 0.95], &[true, true], 10).unwrap();
        assert_eq!(calibration.bins.len(), 10);
        assert!((calibration.expected_error - 0.05).abs() < 1e-12);
        assert!((calibration.maximum_error - 0.05).abs() < 1e-12);
        let mut used = calibration.bins.iter().filter(|bin| bin.count > 0);
        assert!(used.all(|bin| (bin.count, bin.accuracy) == (2, 1.0)));
    }

    #[test]
    fn what_is_no_confidence_is_refused() {
        assert!(Calibration::of(&[0.5], &[true, false], 5).is_err());
        assert!(Calibration::of(&[], &[], 5).is_err());
        assert!(Calibration::of(&[0.5], &[true], 0).is_err());
        for confidence in [f64::NAN, -0.1, 1.01] {
            let error = Calibration::of(&[confidence], &[true], 5).unwrap_err();
            assert!(error.to_string().contains("not in [0, 1]"), "{error}");
        }
    }
}
