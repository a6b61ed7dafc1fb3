//! Random draws with the arithmetic of the original.

use rand::Rng;

/// `low + u (high - low)` with u uniform in [0, 1), in `f32` as the original.
pub(crate) fn uniform(low: f64, high: f64, rng: &mut impl Rng) -> f32 {
    let (low, high) = (low as f32, high as f32);
    low + rng.random::<f32>() * (high - low)
}

/// Whether an event of this probability happens.
pub(crate) fn happens(probability: f64, rng: &mut impl Rng) -> bool {
    rng.random::<f32>() < probability as f32
}
