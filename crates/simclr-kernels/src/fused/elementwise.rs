//! ReLU and sums, element by element.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::chunks::{chunk_len, chunks};
use crate::memory::Buffer;
use crate::simd::{BlockMut, SimdLevel, fill_blocks, fn_per_level, whole};

/// `max(x, 0)`; propagates NaN.
pub(super) fn relu(level: SimdLevel, x: &[f32]) -> Buffer {
    map(level, x, x, |x, _| if x < 0.0 { 0.0 } else { x })
}

/// `dy` where `y` is positive.
pub(super) fn relu_backward(level: SimdLevel, y: &[f32], dy: &[f32]) -> Buffer {
    map(level, y, dy, |y, dy| if y > 0.0 { dy } else { 0.0 })
}

fn map(
    level: SimdLevel,
    x: &[f32],
    y: &[f32],
    function: impl Fn(f32, f32) -> f32 + Copy + Sync,
) -> Buffer {
    let rows = chunks(x.len(), 1);
    let work = |chunk: usize, _: usize, mut block: BlockMut<'_>| {
        let at = rows[chunk].clone();
        level.run(MapChunk {
            x: &x[at.clone()],
            y: &y[at],
            target: block.all_mut(),
            function,
        });
    };
    fill_blocks(1, &rows, &whole(1), work).0
}

struct MapChunk<'a, F> {
    x: &'a [f32],
    y: &'a [f32],
    target: &'a mut [f32],
    function: F,
}

impl<F: Fn(f32, f32) -> f32> WithSimd for MapChunk<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (target, (&x, &y)) in self.target.iter_mut().zip(self.x.iter().zip(self.y)) {
            *target = (self.function)(x, y);
        }
    }
}

/// `sum += values`, in place.
pub(super) fn accumulate(level: SimdLevel, sum: &mut [f32], values: &[f32]) {
    sum.par_chunks_mut(chunk_len(1))
        .zip(values.par_chunks(chunk_len(1)))
        .for_each(|(sum, values)| add(level, sum, values));
}

fn_per_level! {
    fn add<'a>(sum: &'a mut [f32], values: &'a [f32]) -> () {
        for (sum, value) in sum.iter_mut().zip(values) {
            *sum += value;
        }
    }
}
