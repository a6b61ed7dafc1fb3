//! Which colours are those of the core, and which are those of what surrounds it.

const BINS: usize = 16;
/// Darker in all channels than this is a shadow, and shadows are between pieces of any core.
const SHADOW: f32 = 24.0;
const SHADOW_SHARE: f32 = 0.04;
/// Counts as seen of every colour, in shares of all.
const PRIOR: f32 = 2e-5;

/// A histogram of colours, smoothed over neighbouring bins.
#[derive(Clone)]
pub(super) struct Histogram {
    shares: Vec<f32>,
}

impl Histogram {
    pub(super) fn of(colors: impl Iterator<Item = [f32; 3]>) -> Self {
        let mut counts = vec![0.0f32; BINS * BINS * BINS];
        for color in colors {
            counts[bin(color)] += 1.0;
        }
        for stride in [1, BINS, BINS * BINS] {
            counts = smoothed(&counts, stride);
        }
        let total: f32 = counts.iter().sum::<f32>().max(1.0);
        Self {
            shares: counts.iter().map(|count| count / total + PRIOR).collect(),
        }
    }

    /// The same with a share of shadows.
    pub(super) fn with_shadows(mut self) -> Self {
        let dark = (SHADOW / 256.0 * BINS as f32).ceil() as usize;
        let share = SHADOW_SHARE / (dark * dark * dark) as f32;
        for (r, g, b) in
            (0..dark).flat_map(|r| (0..dark).flat_map(move |g| (0..dark).map(move |b| (r, g, b))))
        {
            self.shares[(r * BINS + g) * BINS + b] += share;
        }
        self
    }

    /// The logarithm of how much more often a colour is seen here than there.
    pub(super) fn against(&self, other: &Self, color: [f32; 3]) -> f32 {
        let bin = bin(color);
        (self.shares[bin] / other.shares[bin]).ln()
    }
}

fn bin(color: [f32; 3]) -> usize {
    let part = |value: f32| ((value / 256.0 * BINS as f32) as usize).min(BINS - 1);
    (part(color[0]) * BINS + part(color[1])) * BINS + part(color[2])
}

/// A quarter of each count goes to the bins below and above.
fn smoothed(counts: &[f32], stride: usize) -> Vec<f32> {
    let mut result = vec![0.0; counts.len()];
    for (index, count) in counts.iter().enumerate() {
        let place = index / stride % BINS;
        let below = if place > 0 { index - stride } else { index };
        let above = if place + 1 < BINS {
            index + stride
        } else {
            index
        };
        result[index] += 0.5 * count;
        result[below] += 0.25 * count;
        result[above] += 0.25 * count;
    }
    result
}
