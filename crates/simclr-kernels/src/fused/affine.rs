//! `y = act(x scale + shift + residual)`: the pass over the data of every batch norm.

use super::chunks::{chunks, staged_rows};
use super::map_buffer::MapBuffer;
use crate::activation::Activation;
use crate::simd::{BlockMut, Format, Numbers, SimdLevel, fn_per_level, round_to_pairs, whole};

/// `y = act(x scale + shift + residual)`, a scale and a shift per channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Affine<'a> {
    pub(super) scale: &'a [f32],
    pub(super) shift: &'a [f32],
    pub(super) residual: Option<Numbers<'a>>,
    pub(super) activation: Activation,
}

impl Affine<'_> {
    pub(super) fn apply(&self, level: SimdLevel, x: Numbers<'_>, format: Format) -> MapBuffer {
        let channels = self.scale.len();
        let rows = chunks(x.len() / channels, channels);
        let work = |chunk: usize, _: usize, block: BlockMut<'_>| {
            apply_to_rows(level, self, x, rows[chunk].start, block);
        };
        MapBuffer::fill(format, channels, &rows, &whole(channels), work).0
    }

    pub(super) fn floor(&self) -> f32 {
        match self.activation {
            Activation::Relu => 0.0,
            Activation::Identity => f32::NEG_INFINITY,
        }
    }

    /// Applies it to some rows.
    #[inline(always)]
    fn apply_to(&self, x: &[f32], residual: Option<&[f32]>, y: &mut [f32]) {
        let channels = self.scale.len();
        let (scale, shift) = (self.scale, &self.shift[..channels]);
        let floor = self.floor();
        let rows = x.chunks_exact(channels).zip(y.chunks_exact_mut(channels));
        match residual {
            None => {
                for (x, y) in rows {
                    for c in 0..channels {
                        y[c] = at_least(floor, x[c] * scale[c] + shift[c]);
                    }
                }
            }
            Some(residual) => {
                for ((x, y), residual) in rows.zip(residual.chunks_exact(channels)) {
                    for c in 0..channels {
                        y[c] = at_least(floor, x[c] * scale[c] + shift[c] + residual[c]);
                    }
                }
            }
        }
    }
}

/// Propagates NaN.
#[inline(always)]
fn at_least(floor: f32, value: f32) -> f32 {
    if value < floor { floor } else { value }
}

/// `max(x scale + shift, 0)`; propagates NaN.
#[inline(always)]
pub(super) fn scale_shift_relu(x: f32, scale: f32, shift: f32) -> f32 {
    at_least(0.0, x * scale + shift)
}

/// [`scale_shift_relu`] of some channels of a pixel.
#[inline(always)]
pub(super) fn scale_shift_relu_row(x: &[f32], scale: &[f32], shift: &[f32], y: &mut [f32]) {
    for (((y, &x), &scale), &shift) in y.iter_mut().zip(x).zip(scale).zip(shift) {
        *y = scale_shift_relu(x, scale, shift);
    }
}

fn_per_level! {
    fn apply_to_rows<'a, 'b>(
        affine: &'a Affine<'a>,
        x: Numbers<'a>,
        first: usize,
        block: BlockMut<'b>,
    ) -> () {
        let mut block = block;
        let channels = affine.scale.len();
        let (rows, format) = (block.rows(), block.format());
        let (mut stage_x, mut stage_residual, mut stage) = (Vec::new(), Vec::new(), Vec::new());
        for start in (0..rows).step_by(staged_rows(channels)) {
            let end = rows.min(start + staged_rows(channels));
            let numbers = (first + start) * channels..(first + end) * channels;
            let residual = affine
                .residual
                .map(|residual| residual.read_part(numbers.clone(), &mut stage_residual));
            let x = x.read_part(numbers, &mut stage_x);
            let places = format.places(start * channels)..format.places(end * channels);
            let y = &mut block.all_mut()[places];
            match format {
                Format::Single => affine.apply_to(x, residual, y),
                Format::Pairs => {
                    stage.resize(x.len(), 0.0);
                    affine.apply_to(x, residual, &mut stage);
                    round_to_pairs(stage.iter().copied(), y);
                }
            }
        }
    }
}
