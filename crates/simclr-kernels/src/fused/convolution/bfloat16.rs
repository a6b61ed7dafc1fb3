//! Maps whose numbers are rounded to bfloat16, two in the place of one.

use crate::fused::affine::scale_shift_relu;
use crate::fused::chunks::{chunks, staged_rows};
use crate::memory::Buffer;
use crate::simd::{BlockMut, Numbers, SimdLevel, fill_blocks, fn_per_level, round_to_pairs, whole};

/// Scale and shift per channel, followed by ReLU, if there are any.
type Factors<'a> = Option<(&'a [f32], &'a [f32])>;

/// A whole map of so many channels, an even number.
pub(super) fn round_map(
    level: SimdLevel,
    x: Numbers<'_>,
    factors: Factors<'_>,
    channels: usize,
) -> Buffer {
    let chunks = chunks(x.len() / channels, channels);
    let places = channels / 2;
    let work = |chunk: usize, _: usize, mut target: BlockMut<'_>| {
        let x = x.slice(chunks[chunk].start * channels..chunks[chunk].end * channels);
        round_chunk(level, x, factors, channels, target.all_mut());
    };
    fill_blocks(places, &chunks, &whole(places), work).0
}

fn_per_level! {
    fn round_chunk<'a>(
        x: Numbers<'a>,
        factors: Factors<'a>,
        channels: usize,
        target: &'a mut [f32],
    ) -> () {
        round_pixels(x, factors, channels, target);
    }
}

/// Some pixels.
#[inline(always)]
pub(super) fn round_pixels(
    x: Numbers<'_>,
    factors: Factors<'_>,
    channels: usize,
    target: &mut [f32],
) {
    let mut stage = Vec::new();
    let size = staged_rows(channels) * channels;
    for (group, target) in target.chunks_mut(size / 2).enumerate() {
        let first = group * size;
        let x = x.slice(first..first + 2 * target.len()).read(&mut stage);
        round_numbers(x, factors, channels, target);
    }
}

#[inline(always)]
fn round_numbers(x: &[f32], factors: Factors<'_>, channels: usize, target: &mut [f32]) {
    let Some((scale, shift)) = factors else {
        return round_to_pairs(x.iter().copied(), target);
    };
    let pixels = x.chunks_exact(channels);
    for (target, pixel) in target.chunks_exact_mut(channels / 2).zip(pixels) {
        let terms = pixel.iter().zip(scale).zip(shift);
        let activated = terms.map(|((&x, &scale), &shift)| scale_shift_relu(x, scale, shift));
        round_to_pairs(activated, target);
    }
}
