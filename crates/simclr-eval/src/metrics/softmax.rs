//! Logits as probabilities, and their loss.

/// The softmax of each row of `scores`, `[samples, classes]`, flat: `exp(x_c) / sum exp(x)`.
/// Empty for no classes.
pub fn softmax(scores: &[f32], classes: usize) -> Vec<f64> {
    let mut probabilities = Vec::with_capacity(scores.len());
    for row in scores.chunks_exact(classes.max(1)) {
        let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let raised = row.iter().map(|&x| f64::from(x - highest).exp());
        let sum: f64 = raised.clone().sum();
        probabilities.extend(raised.map(|x| x / sum));
    }
    probabilities
}

/// The cross-entropy of each row of `scores`, `[samples, classes]`, flat: `-ln softmax(x)_label`.
/// The labels have been checked.
pub(crate) fn cross_entropies(scores: &[f32], labels: &[u32], classes: usize) -> Vec<f64> {
    let of_row = |(row, &label): (&[f32], &u32)| {
        let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = row.iter().map(|x| f64::from(x - highest).exp()).sum();
        let own = row.get(label as usize).copied().unwrap_or(f32::NAN);
        sum.ln() - f64::from(own - highest)
    };
    scores
        .chunks_exact(classes.max(1))
        .zip(labels)
        .map(of_row)
        .collect()
}
