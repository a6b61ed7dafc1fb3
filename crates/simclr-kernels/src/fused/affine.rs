//! `y = act(x scale + shift + residual)`: the pass over the data of every batch norm.

use super::chunks::chunks;
use crate::activation::Activation;
use crate::memory::Buffer;
use crate::simd::{BlockMut, SimdLevel, fill_blocks, fn_per_level, whole};

/// `y = act(x scale + shift + residual)`, a scale and a shift per channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Affine<'a> {
    pub(super) scale: &'a [f32],
    pub(super) shift: &'a [f32],
    pub(super) residual: Option<&'a [f32]>,
    pub(super) activation: Activation,
}

impl Affine<'_> {
    pub(super) fn apply(&self, level: SimdLevel, x: &[f32]) -> Buffer {
        let channels = self.scale.len();
        let rows = chunks(x.len() / channels, channels);
        let work = |chunk: usize, _: usize, block: BlockMut<'_>| {
            let first = rows[chunk].start;
            let x = &x[first * channels..rows[chunk].end * channels];
            apply_to_rows(level, self, x, first, block);
        };
        fill_blocks(channels, &rows, &whole(channels), work).0
    }

    pub(super) fn floor(&self) -> f32 {
        match self.activation {
            Activation::Relu => 0.0,
            Activation::Identity => f32::NEG_INFINITY,
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
        x: &'a [f32],
        first: usize,
        block: BlockMut<'b>,
    ) -> () {
        let mut block = block;
        let Affine {
            scale,
            shift,
            residual,
            ..
        } = *affine;
        let channels = scale.len();
        let shift = &shift[..channels];
        let floor = affine.floor();
        for (index, x) in x.chunks_exact(channels).enumerate() {
            let y = &mut block.row_mut(index)[..channels];
            match residual {
                None => {
                    for c in 0..channels {
                        y[c] = at_least(floor, x[c] * scale[c] + shift[c]);
                    }
                }
                Some(residual) => {
                    let residual = &residual[(first + index) * channels..][..channels];
                    for c in 0..channels {
                        y[c] = at_least(floor, x[c] * scale[c] + shift[c] + residual[c]);
                    }
                }
            }
        }
    }
}
