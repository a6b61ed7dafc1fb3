//! Pooling over windows and over whole maps.

use rayon::prelude::*;

use super::chunks::ranges;
use super::map_buffer::MapBuffer;
use crate::geometry::{Span, Windows};
use crate::memory::{Buffer, zeros};
use crate::simd::{BlockMut, Format, Numbers, SimdLevel, fn_per_level, round_to_pairs, whole};

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
    pub(super) fn max_forward(&self, x: Numbers<'_>, format: Format) -> MapBuffer {
        self.each_output_row(x, format, |x, oh, y| max_row(self.level, self, x, oh, y))
    }

    /// The gradient goes to the first of several equal maxima, as in TensorFlow.
    pub(super) fn max_backward(&self, x: Numbers<'_>, dy: &MapBuffer, format: Format) -> MapBuffer {
        // A maximum is one of the numbers, which no format rounds.
        let y = &self.max_forward(x, dy.format());
        let (input, output) = (self.input_image(), self.output_image());
        self.each_input_image(x.len() / input, format, |image, dx| {
            let of_output = image * output..(image + 1) * output;
            let x = x.slice(image * input..(image + 1) * input);
            let (y, dy) = (
                y.numbers().slice(of_output.clone()),
                dy.numbers().slice(of_output),
            );
            max_gradient(self.level, self, x, y, dy, dx);
        })
    }

    /// The sum over each window times the window's weight.
    pub(super) fn average_forward(
        &self,
        x: Numbers<'_>,
        weights: &[f32],
        format: Format,
    ) -> MapBuffer {
        self.each_output_row(x, format, |x, oh, y| {
            average_row(self.level, self, x, weights, oh, y);
        })
    }

    pub(super) fn average_backward(
        &self,
        weights: &[f32],
        dy: &MapBuffer,
        format: Format,
    ) -> MapBuffer {
        let (dy, output) = (dy.numbers(), self.output_image());
        self.each_input_image(dy.len() / output, format, |image, dx| {
            let dy = dy.slice(image * output..(image + 1) * output);
            average_gradient(self.level, self, dy, weights, dx);
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

    /// Computes each row of the result from the rows of its image that it sees.
    fn each_output_row(
        &self,
        x: Numbers<'_>,
        format: Format,
        work: impl Fn(Numbers<'_>, usize, BlockMut<'_>) + Sync,
    ) -> MapBuffer {
        let (input, rows) = (self.input_image(), self.windows.rows.output);
        let row = self.windows.columns.output * self.channels;
        let blocks = ranges(x.len() / input * rows, 1);
        let compute = |index: usize, _: usize, y: BlockMut<'_>| {
            let (image, oh) = (index / rows, index % rows);
            work(x.slice(image * input..(image + 1) * input), oh, y);
        };
        MapBuffer::fill(format, row, &blocks, &whole(row), compute).0
    }

    /// Computes each image of the input's gradient.
    fn each_input_image(
        &self,
        images: usize,
        format: Format,
        work: impl Fn(usize, BlockMut<'_>) + Sync,
    ) -> MapBuffer {
        let size = self.input_image();
        let compute = |image: usize, _: usize, dx: BlockMut<'_>| work(image, dx);
        MapBuffer::fill(format, size, &ranges(images, 1), &whole(size), compute).0
    }

    /// The rows of the input that an output row sees, as f32, and where they begin.
    #[inline(always)]
    fn read_rows<'s>(
        &self,
        x: Numbers<'s>,
        oh: usize,
        stage: &'s mut Vec<f32>,
    ) -> (usize, &'s [f32]) {
        let rows = &self.windows.rows;
        let seen = (0..rows.window).filter_map(|tap| rows.position(oh, tap));
        let (first, last) = (seen.clone().min(), seen.max());
        let start = self.offset(first.unwrap_or(0), 0);
        let end = self.offset(last.map_or(0, |last| last + 1), 0);
        (start, x.slice(start..end.max(start)).read(stage))
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

/// A block that is computed in f32: in its own places, or in others, to be rounded at the end.
enum Target<'t> {
    Own(&'t mut [f32]),
    Staged(&'t mut [f32], &'t mut Vec<f32>),
}

impl<'t> Target<'t> {
    #[inline(always)]
    fn of(block: &'t mut BlockMut<'_>, stage: &'t mut Vec<f32>) -> Self {
        let format = block.format();
        let places = block.all_mut();
        match format {
            Format::Single => Self::Own(places),
            Format::Pairs => {
                stage.resize(2 * places.len(), 0.0);
                Self::Staged(places, stage)
            }
        }
    }

    fn numbers(&mut self) -> &mut [f32] {
        match self {
            Self::Own(numbers) => numbers,
            Self::Staged(_, numbers) => numbers,
        }
    }

    #[inline(always)]
    fn end(self) {
        if let Self::Staged(places, numbers) = self {
            round_to_pairs(numbers.iter().copied(), places);
        }
    }
}

fn_per_level! {
    fn max_row<'a, 'b>(
        pooling: &'a Pooling,
        x: Numbers<'a>,
        oh: usize,
        y: BlockMut<'b>,
    ) -> () {
        let mut y = y;
        let channels = pooling.channels;
        let (mut stage, mut stage_y) = (Vec::new(), Vec::new());
        let (first, x) = pooling.read_rows(x, oh, &mut stage);
        let mut target = Target::of(&mut y, &mut stage_y);
        let y = target.numbers();
        y.fill(f32::NEG_INFINITY);
        pooling.each_tap(oh, |ow, offset| {
            let target = &mut y[ow * channels..(ow + 1) * channels];
            let x = &x[offset - first..][..channels];
            for (best, &value) in target.iter_mut().zip(x) {
                // NaN replaces any number, and no number replaces NaN.
                *best = if value > *best || value.is_nan() { value } else { *best };
            }
        });
        target.end();
    }
}

fn_per_level! {
    fn max_gradient<'a, 'b>(
        pooling: &'a Pooling,
        x: Numbers<'a>,
        y: Numbers<'a>,
        dy: Numbers<'a>,
        dx: BlockMut<'b>,
    ) -> () {
        let mut dx = dx;
        let channels = pooling.channels;
        let (mut stages, mut stage_dx) = (<[Vec<f32>; 2]>::default(), Vec::new());
        let [stage_x, stage_y] = &mut stages;
        let mut target = Target::of(&mut dx, &mut stage_dx);
        let dx = target.numbers();
        dx.fill(0.0);
        let row = pooling.windows.columns.output * channels;
        // What has not found its maximum yet.
        let mut left = vec![0.0; row];
        for oh in 0..pooling.windows.rows.output {
            dy.slice(oh * row..(oh + 1) * row).copy_to(&mut left);
            let y = y.slice(oh * row..(oh + 1) * row).read(stage_y);
            let (first, x) = pooling.read_rows(x, oh, stage_x);
            pooling.each_tap(oh, |ow, offset| {
                let at = ow * channels..(ow + 1) * channels;
                let (left, y) = (&mut left[at.clone()], &y[at]);
                let x = &x[offset - first..][..channels];
                let dx = &mut dx[offset..offset + channels];
                for c in 0..channels {
                    let is_maximum = x[c] == y[c] || (x[c].is_nan() && y[c].is_nan());
                    dx[c] += if is_maximum { left[c] } else { 0.0 };
                    left[c] = if is_maximum { 0.0 } else { left[c] };
                }
            });
        }
        target.end();
    }
}

fn_per_level! {
    fn average_row<'a, 'b>(
        pooling: &'a Pooling,
        x: Numbers<'a>,
        weights: &'a [f32],
        oh: usize,
        y: BlockMut<'b>,
    ) -> () {
        let mut y = y;
        let channels = pooling.channels;
        let weights = &weights[oh * pooling.windows.columns.output..];
        let (mut stage, mut stage_y) = (Vec::new(), Vec::new());
        let (first, x) = pooling.read_rows(x, oh, &mut stage);
        let mut target = Target::of(&mut y, &mut stage_y);
        let y = target.numbers();
        y.fill(0.0);
        pooling.each_tap(oh, |ow, offset| {
            let target = &mut y[ow * channels..(ow + 1) * channels];
            for (sum, &value) in target.iter_mut().zip(&x[offset - first..][..channels]) {
                *sum += weights[ow] * value;
            }
        });
        target.end();
    }
}

fn_per_level! {
    fn average_gradient<'a, 'b>(
        pooling: &'a Pooling,
        dy: Numbers<'a>,
        weights: &'a [f32],
        dx: BlockMut<'b>,
    ) -> () {
        let mut dx = dx;
        let (channels, columns) = (pooling.channels, pooling.windows.columns.output);
        let (mut stage, mut stage_dx) = (Vec::new(), Vec::new());
        let dy = dy.read(&mut stage);
        let mut target = Target::of(&mut dx, &mut stage_dx);
        let dx = target.numbers();
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
        target.end();
    }
}

/// The mean over the pixels of each map.
pub(super) fn global_average(
    level: SimdLevel,
    x: Numbers<'_>,
    pixels: usize,
    channels: usize,
) -> Buffer {
    let scale = 1.0 / pixels as f32;
    let image = pixels * channels;
    let mut y = zeros(x.len() / pixels);
    y.par_chunks_mut(channels)
        .enumerate()
        .for_each(|(index, y)| {
            let x = x.slice(index * image..(index + 1) * image);
            average_pixels(level, x, scale, y);
        });
    y
}

fn_per_level! {
    fn average_pixels<'a>(x: Numbers<'a>, scale: f32, y: &'a mut [f32]) -> () {
        let mut stage = Vec::new();
        for start in (0..x.len()).step_by(y.len()) {
            let pixel = x.slice(start..start + y.len()).read(&mut stage);
            for (sum, &value) in y.iter_mut().zip(pixel) {
                *sum += value;
            }
        }
        y.iter_mut().for_each(|sum| *sum *= scale);
    }
}

/// Its gradient: each pixel gets an equal share.
pub(super) fn global_average_backward(
    dy: &[f32],
    pixels: usize,
    channels: usize,
    format: Format,
) -> MapBuffer {
    let scale = 1.0 / pixels as f32;
    let images = ranges(dy.len() / channels, 1);
    let image = pixels * channels;
    let work = |index: usize, _: usize, mut dx: BlockMut<'_>| {
        let shares = dy[index * channels..(index + 1) * channels].iter();
        let shares = shares.map(|&value| scale * value);
        let mut pixel = vec![0.0; format.places(channels)];
        match format {
            Format::Single => pixel
                .iter_mut()
                .zip(shares)
                .for_each(|(to, share)| *to = share),
            Format::Pairs => round_to_pairs(shares, &mut pixel),
        }
        for target in dx.all_mut().chunks_exact_mut(pixel.len()) {
            target.copy_from_slice(&pixel);
        }
    };
    MapBuffer::fill(format, image, &images, &whole(image), work).0
}
