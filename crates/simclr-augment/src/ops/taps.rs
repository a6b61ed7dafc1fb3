//! Which source pixels an output pixel is made of, and with what weights.

use serde::{Deserialize, Serialize};

/// How an image is resampled. None of the forms smooths before it shrinks, as the
/// original does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resampling {
    /// `tf.image.resize(method=BICUBIC)` of TensorFlow 2: Keys' kernel with
    /// a = -0.5, half-pixel centres, taps outside the image dropped and the rest
    /// renormalised.
    #[default]
    Bicubic,
    /// `tf.compat.v1.image.resize_bicubic`, which TF1 SimCLR and the linear probe's
    /// script call: a = -0.75, no half-pixel centres, taps outside the image take
    /// the border pixel.
    BicubicLegacy,
    /// `tf.image.resize` by default: linear, half-pixel centres.
    Bilinear,
}

/// Source pixels that make up one output pixel: four neighbours in a row (or
/// column), the first at `start`. Weights of pixels that do not exist are 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Taps {
    pub(crate) start: usize,
    pub(crate) weights: [f32; Taps::COUNT],
}

impl Taps {
    pub(crate) const COUNT: usize = 4;

    /// Gathers weights by pixel; no two pixels lie more than `span` - 1 apart.
    fn new(input: usize, span: usize, pixels_and_weights: &[(usize, f32)]) -> Self {
        let first = pixels_and_weights.first().map_or(0, |&(pixel, _)| pixel);
        let start = first.min(input.saturating_sub(span));
        let mut weights = [0.0; Self::COUNT];
        for &(pixel, weight) in pixels_and_weights {
            weights[pixel - start] += weight;
        }
        Self { start, weights }
    }

    /// Whether the first two taps are all that weighs anything.
    pub(crate) fn is_narrow(&self) -> bool {
        self.weights[2] == 0.0 && self.weights[3] == 0.0
    }

    /// The taps of every output position along one side. The arithmetic is `f32`
    /// throughout, because the original's is: another rounding of the scale picks
    /// another row of the weight table.
    pub(crate) fn along(resampling: Resampling, input: usize, output: usize) -> Vec<Self> {
        let scale = input as f32 / output as f32;
        let taps = |position: usize| match resampling {
            Resampling::BicubicLegacy => Self::at(resampling, input, position as f32 * scale),
            _ => Self::at(resampling, input, (position as f32 + 0.5) * scale - 0.5),
        };
        (0..output).map(taps).collect()
    }

    /// The taps of a position among the source pixels.
    fn at(resampling: Resampling, input: usize, position: f32) -> Self {
        let floor = floor(position);
        let fraction = position - floor;
        let first = floor as i64 - 1;
        if first >= 0 && first + 3 < input as i64 && resampling != Resampling::Bilinear {
            // Nearly all of them: four different pixels, in order.
            return Self {
                start: first as usize,
                // Also makes 0 of -0, as adding up does.
                weights: cubic_weights(resampling, fraction, [true; 4]).map(|w| 0.0 + w),
            };
        }
        let pixels = neighbours(input, floor);
        if resampling == Resampling::Bilinear {
            let taps = [(pixels[1].0, 1.0 - fraction), (pixels[2].0, fraction)];
            return Self::new(input, 2, &taps);
        }
        let weights = cubic_weights(resampling, fraction, pixels.map(|(_, inside)| inside));
        Self::new(input, 4, &[0, 1, 2, 3].map(|k| (pixels[k].0, weights[k])))
    }
}

/// Steps to which the original's table rounds the position between two pixels.
const TABLE_STEPS: f32 = 1024.0;

/// The weights of four pixels around a position, of which some may lie outside of the image.
fn cubic_weights(resampling: Resampling, fraction: f32, inside: [bool; 4]) -> [f32; 4] {
    if resampling == Resampling::BicubicLegacy {
        return keys_weights(-0.75, fraction);
    }
    let mut weights = keys_weights(-0.5, fraction);
    for (weight, inside) in weights.iter_mut().zip(inside) {
        if !inside {
            *weight = 0.0;
        }
    }
    let sum = weights[0] + weights[1] + weights[2] + weights[3];
    // At least one of the two nearest pixels is inside, so the sum is never near 0.
    let normalise = 1.0 / sum;
    weights.map(|weight| weight * normalise)
}

/// Keys' cubic at the distances 1 + f, f, 1 - f, 2 - f of the four taps.
fn keys_weights(a: f32, fraction: f32) -> [f32; 4] {
    let near = |x: f32| ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    let far = |x: f32| ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
    // Adding and subtracting 1.5 x 2^23 rounds, ties to even, without a call of a
    // library where the processor has no instruction for it.
    const ROUND: f32 = 12_582_912.0;
    let f = ((fraction * TABLE_STEPS + ROUND) - ROUND) / TABLE_STEPS;
    [far(1.0 + f), near(f), near(1.0 - f), far(2.0 - f)]
}

/// The four pixels around `floor`, each with whether it lies inside the image.
fn neighbours(input: usize, floor: f32) -> [(usize, bool); 4] {
    let last = input as i64 - 1;
    [-1, 0, 1, 2].map(|step| {
        let pixel = floor as i64 + step;
        let bounded = pixel.clamp(0, last);
        (bounded as usize, bounded == pixel)
    })
}

/// The next whole number below a position, of which every one is small.
#[inline]
fn floor(position: f32) -> f32 {
    let towards_zero = position as i32 as f32;
    if towards_zero > position {
        towards_zero - 1.0
    } else {
        towards_zero
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Resampling; 3] = [
        Resampling::Bicubic,
        Resampling::BicubicLegacy,
        Resampling::Bilinear,
    ];

    #[test]
    fn equal_sizes_copy() {
        for resampling in ALL {
            for input in [1, 2, 3, 4, 5, 40] {
                for (position, taps) in Taps::along(resampling, input, input).iter().enumerate() {
                    let mut expected = [0.0; 4];
                    expected[position - taps.start] = 1.0;
                    assert_eq!(taps.weights, expected, "{resampling:?} {input} {position}");
                }
            }
        }
    }

    #[test]
    fn halving_takes_the_middle_of_two_pixels() {
        let taps = Taps::along(Resampling::Bicubic, 8, 4);
        assert_eq!(taps[1].start, 1);
        assert_eq!(taps[1].weights, [-0.0625, 0.5625, 0.5625, -0.0625]);
        let taps = Taps::along(Resampling::BicubicLegacy, 8, 4);
        assert_eq!((taps[1].start, taps[1].weights), (1, [0.0, 1.0, 0.0, 0.0]));
    }

    proptest! {
        #[test]
        fn weights_sum_to_one_and_stay_inside(input in 1usize..700, output in 1usize..400) {
            for resampling in ALL {
                for taps in Taps::along(resampling, input, output) {
                    let sum: f32 = taps.weights.iter().sum();
                    prop_assert!((sum - 1.0).abs() < 1e-5);
                    for (k, weight) in taps.weights.iter().enumerate() {
                        prop_assert!(*weight == 0.0 || taps.start + k < input);
                    }
                }
            }
        }
    }
}
