//! Maps whose numbers are bfloat16 numbers, or sums of two, in pairs in the places of f32.

use crate::fused::affine::scale_shift_relu;
use crate::fused::chunks::{chunks, staged_rows};
use crate::memory::Buffer;
use crate::simd::{
    BlockMut, Numbers, Operands, SimdLevel, fill_blocks, fn_per_level, round_to_pairs, whole,
};

/// Scale and shift per channel, followed by ReLU, if there are any.
type Factors<'a> = Option<(&'a [f32], &'a [f32])>;

/// A whole map of so many channels as operands in pairs.
pub(super) fn pair_map(
    level: SimdLevel,
    operands: Operands,
    x: Numbers<'_>,
    factors: Factors<'_>,
    channels: usize,
) -> Buffer {
    let chunks = chunks(x.len() / channels, channels);
    let places = operands.places(channels);
    let work = |chunk: usize, _: usize, mut target: BlockMut<'_>| {
        let x = x.slice(chunks[chunk].start * channels..chunks[chunk].end * channels);
        pair_chunk(level, operands, x, factors, channels, target.all_mut());
    };
    fill_blocks(places, &chunks, &whole(places), work).0
}

fn_per_level! {
    fn pair_chunk<'a>(
        operands: Operands,
        x: Numbers<'a>,
        factors: Factors<'a>,
        channels: usize,
        target: &'a mut [f32],
    ) -> () {
        pair_pixels(operands, x, factors, channels, target);
    }
}

/// Some pixels.
#[inline(always)]
pub(super) fn pair_pixels(
    operands: Operands,
    x: Numbers<'_>,
    factors: Factors<'_>,
    channels: usize,
    target: &mut [f32],
) {
    let mut stage = Vec::new();
    let rows = staged_rows(channels);
    let places = operands.places(channels);
    for (group, target) in target.chunks_mut(rows * places).enumerate() {
        let first = group * rows * channels;
        let numbers = target.len() / places * channels;
        let x = x.slice(first..first + numbers).read(&mut stage);
        match (operands.parts(), factors) {
            ([_], None) => round_to_pairs(x.iter().copied(), target),
            _ => pair_numbers(operands, x, factors, channels, target),
        }
    }
}

/// Pixel by pixel.
#[inline(always)]
fn pair_numbers(
    operands: Operands,
    x: &[f32],
    factors: Factors<'_>,
    channels: usize,
    target: &mut [f32],
) {
    let pixels = x.chunks_exact(channels);
    for (target, pixel) in target
        .chunks_exact_mut(operands.places(channels))
        .zip(pixels)
    {
        let targets = target.chunks_exact_mut(channels / 2);
        for (target, part) in targets.zip(operands.parts()) {
            match factors {
                None => round_to_pairs(pixel.iter().map(|&x| part.of(x)), target),
                Some((scale, shift)) => {
                    let terms = pixel.iter().zip(scale).zip(shift);
                    let activated =
                        |((&x, &scale), &shift)| part.of(scale_shift_relu(x, scale, shift));
                    round_to_pairs(terms.map(activated), target);
                }
            }
        }
    }
}
