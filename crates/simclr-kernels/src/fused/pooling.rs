//! Pooling over windows and over whole maps.

use rayon::prelude::*;

use super::chunks::ranges;
use crate::geometry::{Span, Windows};
use crate::memory::{Buffer, zeros};
use crate::simd::{BlockMut, SimdLevel, fill_blocks, fn_per_level, whole};

/// The sizes of a pooling op.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pooling {
    pub(super) level: SimdLevel,
    pub(super) windows: Windows,
    pub(super) channels: usize,
}

impl Pooling {
    fn output_image(&self) -> usize {
        self.windows.rows.output * self.windows.columns.output * self.channels
    }

    fn input_image(&self) -> usize {
        self.windows.rows.input * self.windows.columns.input * self.channels
    }

    fn offset(&self, row: usize, column: usize) -> usize {
        (row * self.windows.columns.input + column) * self.channels
    }

    /// The maximum of each window; padding counts as minus infinity.
    pub(super) fn max_forward(&self, x: &[f32]) -> Buffer {
        let pooling = self;
        self.each_output_row(x, |x, oh, y| max_row(self.level, pooling, x, oh, y))
    }

    /// The gradient goes to the first of several equal maxima, as in TensorFlow.
    pub(super) fn max_backward(&self, x: &[f32], dy: &[f32]) -> Buffer {
        let y = &self.max_forward(x);
        let (input, output) = (self.input_image(), self.output_image());
        self.each_input_image(x.len() / input, |image, dx| {
            let of_output = image * output..(image + 1) * output;
            let x = &x[image * input..(image + 1) * input];
            let (y, dy) = (&y[of_output.clone()], &dy[of_output]);
            max_gradient(self.level, self, x, y, dy, dx);
        })
    }

    /// The sum over each window times the window's weight.
    pub(super) fn average_forward(&self, x: &[f32], weights: &[f32]) -> Buffer {
        let pooling = self;
        self.each_output_row(x, |x, oh, y| {
            average_row(self.level, pooling, x, weights, oh, y);
        })
    }

    pub(super) fn average_backward(&self, weights: &[f32], dy: &[f32]) -> Buffer {
        let (pooling, output) = (self, self.output_image());
        self.each_input_image(dy.len() / output, |image, dx| {
            let dy = &dy[image * output..(image + 1) * output];
            average_gradient(self.level, pooling, dy, weights, dx);
        })
    }

    /// One over the number of elements of each window; of those within the map
    /// where padding does not count.
    pub(super) fn average_weights(&self, count_padding: bool) -> Vec<f32> {
        let covered = |span: &Span, output: usize| {
            let begin = (output * span.stride).max(span.before);
            let end = (output * span.stride + span.window).min(span.before + span.input);
            if count_padding {
                span.window
            } else {
                end.saturating_sub(begin)
            }
        };
        let Windows { rows, columns } = &self.windows;
        let counts = (0..rows.output).flat_map(|oh| {
            (0..columns.output).map(move |ow| covered(rows, oh) * covered(columns, ow))
        });
        counts
            .map(|count| if count == 0 { 0.0 } else { 1.0 / count as f32 })
            .collect()
    }

    /// Computes each row of the result from its image.
    fn each_output_row(
        &self,
        x: &[f32],
        work: impl Fn(&[f32], usize, BlockMut<'_>) + Sync,
    ) -> Buffer {
        let (input, rows) = (self.input_image(), self.windows.rows.output);
        let row = self.windows.columns.output * self.channels;
        let blocks = ranges(x.len() / input * rows, 1);
        let compute = |index: usize, _: usize, y: BlockMut<'_>| {
            let (image, oh) = (index / rows, index % rows);
            work(&x[image * input..(image + 1) * input], oh, y);
        };
        fill_blocks(row, &blocks, &whole(row), compute).0
    }

    /// Computes each image of the input's gradient.
    fn each_input_image(&self, images: usize, work: impl Fn(usize, BlockMut<'_>) + Sync) -> Buffer {
        let size = self.input_image();
        let compute = |image: usize, _: usize, dx: BlockMut<'_>| work(image, dx);
        fill_blocks(size, &ranges(images, 1), &whole(size), compute).0
    }

    /// Visits the elements of the windows of one output row that lie in the map,
    /// window positions in the outer loops: (output column, offset in the image).
    #[inline(always)]
    fn each_tap(&self, oh: usize, mut visit: impl FnMut(usize, usize)) {
        let Windows { rows, columns } = &self.windows;
        for tap_row in 0..rows.window {
            let Some(row) = rows.position(oh, tap_row) else {
                continue;
            };
            for tap_column in 0..columns.window {
                for ow in 0..columns.output {
                    if let Some(column) = columns.position(ow, tap_column) {
                        visit(ow, self.offset(row, column));
                    }
                }
            }
        }
    }
}

fn_per_level! {
    fn max_row<'a, 'b>(pooling: &'a Pooling, x: &'a [f32], oh: usize, y: BlockMut<'b>) -> () {
        let mut y = y;
        let channels = pooling.channels;
        let y = y.all_mut();
        y.fill(f32::NEG_INFINITY);
        pooling.each_tap(oh, |ow, offset| {
            let target = &mut y[ow * channels..(ow + 1) * channels];
            for (best, &value) in target.iter_mut().zip(&x[offset..offset + channels]) {
                // NaN replaces any number, and no number replaces NaN.
                *best = if value > *best || value.is_nan() { value } else { *best };
            }
        });
    }
}

fn_per_level! {
    fn max_gradient<'a, 'b>(
        pooling: &'a Pooling,
        x: &'a [f32],
        y: &'a [f32],
        dy: &'a [f32],
        dx: BlockMut<'b>,
    ) -> () {
        let mut dx = dx;
        let channels = pooling.channels;
        let dx = dx.all_mut();
        dx.fill(0.0);
        let row = pooling.windows.columns.output * channels;
        // What has not found its maximum yet.
        let mut left = vec![0.0; row];
        for oh in 0..pooling.windows.rows.output {
            left.copy_from_slice(&dy[oh * row..(oh + 1) * row]);
            let y = &y[oh * row..(oh + 1) * row];
            pooling.each_tap(oh, |ow, offset| {
                let at = ow * channels..(ow + 1) * channels;
                let (left, y) = (&mut left[at.clone()], &y[at]);
                let x = &x[offset..offset + channels];
                let dx = &mut dx[offset..offset + channels];
                for c in 0..channels {
                    let here = if x[c] == y[c] { left[c] } else { 0.0 };
                    dx[c] += here;
                    left[c] = if x[c] == y[c] { 0.0 } else { left[c] };
                }
            });
        }
    }
}

fn_per_level! {
    fn average_row<'a, 'b>(
        pooling: &'a Pooling,
        x: &'a [f32],
        weights: &'a [f32],
        oh: usize,
        y: BlockMut<'b>,
    ) -> () {
        let mut y = y;
        let channels = pooling.channels;
        let weights = &weights[oh * pooling.windows.columns.output..];
        let y = y.all_mut();
        y.fill(0.0);
        pooling.each_tap(oh, |ow, offset| {
            let target = &mut y[ow * channels..(ow + 1) * channels];
            for (sum, &value) in target.iter_mut().zip(&x[offset..offset + channels]) {
                *sum += weights[ow] * value;
            }
        });
    }
}

fn_per_level! {
    fn average_gradient<'a, 'b>(
        pooling: &'a Pooling,
        dy: &'a [f32],
        weights: &'a [f32],
        dx: BlockMut<'b>,
    ) -> () {
        let mut dx = dx;
        let (channels, columns) = (pooling.channels, pooling.windows.columns.output);
        let dx = dx.all_mut();
        dx.fill(0.0);
        for oh in 0..pooling.windows.rows.output {
            pooling.each_tap(oh, |ow, offset| {
                let window = oh * columns + ow;
                let dy = &dy[window * channels..(window + 1) * channels];
                for (sum, &value) in dx[offset..offset + channels].iter_mut().zip(dy) {
                    *sum += weights[window] * value;
                }
            });
        }
    }
}

/// The mean over the pixels of each map.
pub(super) fn global_average(
    level: SimdLevel,
    x: &[f32],
    pixels: usize,
    channels: usize,
) -> Buffer {
    let scale = 1.0 / pixels as f32;
    let mut y = zeros(x.len() / pixels);
    y.par_chunks_mut(channels)
        .zip(x.par_chunks(pixels * channels))
        .for_each(|(y, x)| average_pixels(level, x, scale, y));
    y
}

fn_per_level! {
    fn average_pixels<'a>(x: &'a [f32], scale: f32, y: &'a mut [f32]) -> () {
        for pixel in x.chunks_exact(y.len()) {
            for (sum, &value) in y.iter_mut().zip(pixel) {
                *sum += value;
            }
        }
        y.iter_mut().for_each(|sum| *sum *= scale);
    }
}

/// Its gradient: each pixel gets an equal share.
pub(super) fn global_average_backward(dy: &[f32], pixels: usize, channels: usize) -> Buffer {
    let scale = 1.0 / pixels as f32;
    let mut dx = zeros(dy.len() * pixels);
    dx.par_chunks_mut(pixels * channels)
        .zip(dy.par_chunks(channels))
        .for_each(|(dx, dy)| {
            for pixel in dx.chunks_exact_mut(channels) {
                for (share, &value) in pixel.iter_mut().zip(dy) {
                    *share = scale * value;
                }
            }
        });
    dx
}
