//! Predictions and hits among the highest scores.

use crate::{Error, Result};

/// The position of the highest score in each row of `classes` scores; the lowest
/// of several equal ones. A row of nothing but NaN gives 0.
///
/// # Errors
/// Scores that are not a whole number of rows.
pub fn arg_max(scores: &[f32], classes: usize) -> Result<Vec<u32>> {
    let highest = |row: &[f32]| {
        let mut best = 0;
        for (class, &score) in row.iter().enumerate() {
            if score > row[best] || row[best].is_nan() {
                best = class;
            }
        }
        best as u32
    };
    Ok(rows("arg max", scores, classes)?.map(highest).collect())
}

/// The share of rows whose true class has fewer than `k` classes scored strictly
/// higher: ties count as hits, as in TensorFlow. A true class whose score is not
/// finite is a miss.
///
/// # Errors
/// No rows, scores that are not a whole number of rows, another number of
/// labels, a label of `classes` or more, `k` of 0.
pub fn top_k_accuracy(scores: &[f32], labels: &[u32], classes: usize, k: usize) -> Result<f64> {
    const OPERATION: &str = "top-k accuracy";
    if k == 0 {
        return Err(Error::setting("k", "at least 1", 0));
    }
    let rows = rows(OPERATION, scores, classes)?;
    if labels.is_empty() || rows.len() != labels.len() {
        return Err(Error::evaluation(
            OPERATION,
            format!("{} labels for {} rows of scores", labels.len(), rows.len()),
        ));
    }
    let mut hits = 0usize;
    for (row, &label) in rows.zip(labels) {
        let unknown = || Error::unknown_class(OPERATION, label, classes);
        let score = *row.get(label as usize).ok_or_else(unknown)?;
        let higher = row.iter().filter(|&&other| other > score).count();
        hits += usize::from(score.is_finite() && higher < k);
    }
    Ok(hits as f64 / labels.len() as f64)
}

fn rows<'a>(
    operation: &'static str,
    scores: &'a [f32],
    classes: usize,
) -> Result<std::slice::ChunksExact<'a, f32>> {
    if classes == 0 || !scores.len().is_multiple_of(classes) {
        return Err(Error::evaluation(
            operation,
            format!("{} scores are not rows of {classes}", scores.len()),
        ));
    }
    Ok(scores.chunks_exact(classes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_of_equals_wins() {
        assert_eq!(arg_max(&[1.0, 2.0, 2.0, 3.0, 3.0, 0.0], 3).unwrap(), [1, 0]);
        assert_eq!(arg_max(&[f32::NAN, -1.0], 2).unwrap(), [1]);
    }

    #[test]
    fn ties_at_the_edge_are_hits() {
        let scores = [3.0, 2.0, 2.0, 1.0];
        assert_eq!(top_k_accuracy(&scores, &[2], 4, 2).unwrap(), 1.0);
        assert_eq!(top_k_accuracy(&scores, &[3], 4, 3).unwrap(), 0.0);
        assert_eq!(top_k_accuracy(&scores, &[3], 4, 9).unwrap(), 1.0);
        assert!(top_k_accuracy(&scores, &[4], 4, 1).is_err());
        assert!(top_k_accuracy(&scores, &[0, 1], 4, 1).is_err());
    }
}
