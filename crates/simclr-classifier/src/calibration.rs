//! Confidence that is what it says: temperature scaling and conformal sets.

use simclr_eval::metrics::softmax;

/// The temperature that logits are divided by so that the labels of held-out images are most probable
/// (Guo et al., "On calibration of modern neural networks", 2017). The log-loss is convex in its
/// reciprocal, so halving the interval finds the one minimum between 0.05 and 20.
pub(crate) fn temperature(logits: &[f32], labels: &[u32], classes: usize) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let loss = |log_temperature: f64| log_loss(logits, labels, classes, log_temperature.exp());
    let (mut low, mut high) = (0.05f64.ln(), 20f64.ln());
    for _ in 0..60 {
        let (left, right) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
        if loss(left) <= loss(right) {
            high = right;
        } else {
            low = left;
        }
    }
    ((low + high) / 2.0).exp()
}

fn log_loss(logits: &[f32], labels: &[u32], classes: usize, temperature: f64) -> f64 {
    let rows = logits.chunks_exact(classes.max(1)).zip(labels);
    let losses = rows.map(|(row, &label)| {
        let scaled = |value: f32| f64::from(value) / temperature;
        let highest = row
            .iter()
            .copied()
            .map(scaled)
            .fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row
            .iter()
            .map(|&value| (scaled(value) - highest).exp())
            .sum();
        let own = row
            .get(label as usize)
            .map_or(f64::NAN, |&value| scaled(value));
        sum.ln() + highest - own
    });
    losses.sum::<f64>() / labels.len().max(1) as f64
}

/// The class probabilities of logits at a temperature, `[n, classes]` flat.
pub(crate) fn probabilities(logits: &[f32], classes: usize, temperature: f64) -> Vec<f64> {
    let scaled: Vec<f32> = logits
        .iter()
        .map(|value| (f64::from(*value) / temperature) as f32)
        .collect();
    softmax(&scaled, classes)
}

/// The probability above which a class belongs to an image's conformal set (split conformal prediction
/// with the score `1 - p`; Sadinle et al. 2019): with it the sets of new images hold the true class
/// with at least the probability `coverage`. `own` are the probabilities of held-out images' true
/// classes in increasing order. 0 if there are too few of them.
pub(crate) fn conformal_threshold(own: &[f32], coverage: f64) -> f64 {
    let rank = ((own.len() + 1) as f64 * coverage).ceil() as usize;
    let place = own.len().checked_sub(rank);
    place
        .and_then(|place| own.get(place))
        .map_or(0.0, |&p| f64::from(p))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overconfident_logits_are_cooled_to_their_hit_rate() {
        // Right in three of four cases with the confidence of e^4.
        let logits: Vec<f32> = (0..400).flat_map(|_| [4.0, 0.0]).collect();
        let labels: Vec<u32> = (0..400).map(|index| u32::from(index % 4 == 0)).collect();
        let found = temperature(&logits, &labels, 2);
        // sigmoid(4 / T) = 3 / 4.
        assert!((found - 4.0 / 3f64.ln()).abs() < 1e-3, "{found}");
        let p = probabilities(&logits[..2], 2, found);
        assert!((p[0] - 0.75).abs() < 1e-4);
    }

    #[test]
    fn conformal_sets_cover_what_they_promise() {
        let own: Vec<f32> = (1..=99).map(|index| index as f32 / 100.0).collect();
        assert!((conformal_threshold(&own, 0.9) - 0.10).abs() < 1e-6);
        assert_eq!(conformal_threshold(&own[..5], 0.9), 0.0);
    }
}
