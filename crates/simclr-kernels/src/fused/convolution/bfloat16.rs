//! Maps whose numbers are rounded to bfloat16, two in the place of one.

use pulp::{Simd, WithSimd};

use super::{Input, scale_shift_relu};
use crate::fused::channels::chunks;
use crate::memory::Buffer;
use crate::simd::{BlockMut, SimdLevel, fill_blocks, round_to_pairs, whole};

/// A whole map of so many channels, an even number.
pub(super) fn round_map(level: SimdLevel, x: Input<'_>, channels: usize) -> Buffer {
    let chunks = chunks(x.values.len() / channels, channels);
    let places = channels / 2;
    let work = |chunk: usize, _: usize, mut target: BlockMut<'_>| {
        let numbers = chunks[chunk].start * channels..chunks[chunk].end * channels;
        level.run(RoundPixels {
            values: &x.values[numbers],
            x,
            channels,
            target: target.all_mut(),
        });
    };
    fill_blocks(places, &chunks, &whole(places), work).0
}

struct RoundPixels<'a> {
    values: &'a [f32],
    x: Input<'a>,
    channels: usize,
    target: &'a mut [f32],
}

impl WithSimd for RoundPixels<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        round_pixels(self.values, self.x.affine, self.channels, self.target);
    }
}

/// Some pixels, after scale, shift and ReLU if there are any.
#[inline(always)]
pub(super) fn round_pixels(
    values: &[f32],
    affine: Option<(&[f32], &[f32])>,
    channels: usize,
    target: &mut [f32],
) {
    let Some((scale, shift)) = affine else {
        return round_to_pairs(values.iter().copied(), target);
    };
    let pixels = values.chunks_exact(channels);
    for (target, pixel) in target.chunks_exact_mut(channels / 2).zip(pixels) {
        let terms = pixel.iter().zip(scale).zip(shift);
        let activated = terms.map(|((&x, &scale), &shift)| scale_shift_relu(x, scale, shift));
        round_to_pairs(activated, target);
    }
}
