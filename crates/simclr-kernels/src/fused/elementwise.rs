//! ReLU and sums, element by element.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::chunks::{chunk_len, chunks, staged_rows};
use super::map_buffer::MapBuffer;
use crate::simd::{BlockMut, Format, Numbers, SimdLevel, fn_per_level, round_to_pairs, whole};

/// Elements that are taken for one row: whole pairs.
const ROW: usize = 2;

/// `max(x, 0)`; propagates NaN.
pub(super) fn relu(level: SimdLevel, x: Numbers<'_>, format: Format) -> MapBuffer {
    map(level, x, x, format, |x, _| if x < 0.0 { 0.0 } else { x })
}

/// `dy` where `y` is positive.
pub(super) fn relu_backward(level: SimdLevel, y: Numbers<'_>, dy: &MapBuffer) -> MapBuffer {
    let pass = |y, dy| if y > 0.0 { dy } else { 0.0 };
    map(level, y, dy.numbers(), dy.format(), pass)
}

fn map(
    level: SimdLevel,
    x: Numbers<'_>,
    y: Numbers<'_>,
    format: Format,
    function: impl Fn(f32, f32) -> f32 + Copy + Sync,
) -> MapBuffer {
    let row = if x.len().is_multiple_of(ROW) { ROW } else { 1 };
    let rows = chunks(x.len() / row, row);
    let work = |chunk: usize, _: usize, mut block: BlockMut<'_>| {
        let at = row * rows[chunk].start..row * rows[chunk].end;
        level.run(MapChunk {
            x: x.slice(at.clone()),
            y: y.slice(at),
            format,
            target: block.all_mut(),
            function,
        });
    };
    MapBuffer::fill(format, row, &rows, &whole(row), work).0
}

struct MapChunk<'a, F> {
    x: Numbers<'a>,
    y: Numbers<'a>,
    format: Format,
    target: &'a mut [f32],
    function: F,
}

impl<F: Fn(f32, f32) -> f32> WithSimd for MapChunk<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (mut stage_x, mut stage_y) = (Vec::new(), Vec::new());
        let size = staged_rows(ROW) * ROW;
        for (group, target) in self.target.chunks_mut(self.format.places(size)).enumerate() {
            let first = group * size;
            let at = first..first + Numbers::new(self.format, target).len();
            let x = self.x.slice(at.clone()).read(&mut stage_x);
            let y = self.y.slice(at).read(&mut stage_y);
            let mapped = x.iter().zip(y).map(|(&x, &y)| (self.function)(x, y));
            match self.format {
                Format::Single => {
                    for (target, mapped) in target.iter_mut().zip(mapped) {
                        *target = mapped;
                    }
                }
                Format::Pairs => round_to_pairs(mapped, target),
            }
        }
    }
}

/// `sum += values`, in place.
pub(super) fn accumulate(level: SimdLevel, sum: &mut MapBuffer, values: Numbers<'_>) {
    let format = sum.format();
    let size = chunk_len(ROW);
    sum.places_mut()
        .par_chunks_mut(format.places(size))
        .enumerate()
        .for_each(|(chunk, sum)| {
            let first = chunk * size;
            let end = first + Numbers::new(format, sum).len();
            add(level, format, sum, values.slice(first..end));
        });
}

fn_per_level! {
    fn add<'a>(format: Format, sum: &'a mut [f32], values: Numbers<'a>) -> () {
        let (mut stage, mut stage_sum) = (Vec::new(), Vec::new());
        let size = staged_rows(ROW) * ROW;
        for (group, sum) in sum.chunks_mut(format.places(size)).enumerate() {
            let first = group * size;
            let end = first + Numbers::new(format, sum).len();
            let values = values.slice(first..end).read(&mut stage);
            match format {
                Format::Single => {
                    for (sum, value) in sum.iter_mut().zip(values) {
                        *sum += value;
                    }
                }
                Format::Pairs => {
                    Numbers::Pairs(sum).read(&mut stage_sum);
                    let sums = stage_sum.iter().zip(values);
                    round_to_pairs(sums.map(|(sum, value)| sum + value), sum);
                }
            }
        }
    }
}
