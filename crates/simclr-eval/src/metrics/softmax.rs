//! Logits as probabilities.

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
