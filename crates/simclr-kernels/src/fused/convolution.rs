//! Convolution as matrix products over blocks of output pixels.

use rayon::prelude::*;

use crate::geometry::{Span, Windows};
use crate::simd::{MatrixMut, MatrixRef, gemm};

/// Elements of a block of columns: small enough for the second-level cache,
/// large enough for the matrix product to reach its speed.
const COLUMN_ELEMENTS: usize = 1 << 17;

/// Into how many parts the filter gradient's sum is cut: a constant, so that it
/// does not depend on the number of threads.
const FILTER_PARTS: usize = 8;

/// The sizes of a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Convolution {
    pub(super) batch: usize,
    pub(super) windows: Windows,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

impl Convolution {
    fn depth(&self) -> usize {
        self.windows.rows.window * self.windows.columns.window * self.inputs
    }

    pub(super) fn output_pixels(&self) -> usize {
        self.batch * self.windows.rows.output * self.windows.columns.output
    }

    fn input_row(&self) -> usize {
        self.windows.columns.input * self.inputs
    }

    fn input_image(&self) -> usize {
        self.windows.rows.input * self.input_row()
    }

    /// Whether the input is its own column matrix.
    fn is_dense(&self) -> bool {
        let plain = |s: &Span| s.window == 1 && s.stride == 1 && s.before == 0 && s.after == 0;
        plain(&self.windows.rows) && plain(&self.windows.columns)
    }

    fn block_pixels(&self) -> usize {
        let pixels = (COLUMN_ELEMENTS / self.depth()).clamp(32, 4096);
        // At least eight blocks, so that small maps keep every core busy.
        pixels.min(self.output_pixels().div_ceil(8)).max(1)
    }

    /// `y[p, o] = sum over k of columns[p, k] kernel[k, o]`.
    pub(super) fn forward(&self, x: &[f32], kernel: &[f32], y: &mut [f32]) {
        let (pixels, depth, outputs) = (self.block_pixels(), self.depth(), self.outputs);
        let kernel = MatrixRef::row_major(kernel, depth, outputs);
        y.par_chunks_mut(pixels * outputs)
            .enumerate()
            .for_each_init(Vec::new, |buffer, (block, y)| {
                let first = block * pixels;
                let count = y.len() / outputs;
                let columns = self.columns(x, first, count, buffer);
                let columns = MatrixRef::row_major(columns, count, depth);
                gemm(
                    1.0,
                    columns,
                    kernel,
                    0.0,
                    MatrixMut::row_major(y, count, outputs),
                );
            });
    }

    /// `dkernel[k, o] = sum over p of columns[p, k] dy[p, o]`.
    pub(super) fn backward_kernel(&self, x: &[f32], dy: &[f32], dkernel: &mut [f32]) {
        let (depth, outputs) = (self.depth(), self.outputs);
        let pixels = self.output_pixels();
        let part = pixels.div_ceil(FILTER_PARTS).max(1);
        let partial: Vec<Vec<f32>> = (0..pixels.div_ceil(part))
            .into_par_iter()
            .map(|index| {
                let mut sum = vec![0.0; depth * outputs];
                let mut buffer = Vec::new();
                let end = pixels.min((index + 1) * part);
                let mut first = index * part;
                while first < end {
                    let count = self.block_pixels().min(end - first);
                    let columns = self.columns(x, first, count, &mut buffer);
                    let columns = MatrixRef::row_major(columns, count, depth);
                    let dy = &dy[first * outputs..(first + count) * outputs];
                    let dy = MatrixRef::row_major(dy, count, outputs);
                    let target = MatrixMut::row_major(&mut sum, depth, outputs);
                    gemm(1.0, columns.transposed(), dy, 1.0, target);
                    first += count;
                }
                sum
            })
            .collect();
        dkernel
            .par_chunks_mut(1 << 14)
            .enumerate()
            .for_each(|(chunk, sum)| {
                let offset = chunk << 14;
                for part in &partial {
                    for (total, value) in sum.iter_mut().zip(&part[offset..]) {
                        *total += value;
                    }
                }
            });
    }

    /// `dx = sum over windows of dy kernel^T`, each image on its own.
    pub(super) fn backward_input(&self, kernel: &[f32], dy: &[f32], dx: &mut [f32]) {
        let (depth, outputs) = (self.depth(), self.outputs);
        if self.is_dense() {
            let block = self.block_pixels();
            let kernel = MatrixRef::row_major(kernel, depth, outputs).transposed();
            dx.par_chunks_mut(block * depth)
                .zip(dy.par_chunks(block * outputs))
                .for_each(|(dx, dy)| {
                    let count = dy.len() / outputs;
                    let dy = MatrixRef::row_major(dy, count, outputs);
                    gemm(1.0, dy, kernel, 0.0, MatrixMut::row_major(dx, count, depth));
                });
            return;
        }
        if let Some(correlation) = self.input_correlation() {
            correlation.forward(dy, &self.flipped(kernel), dx);
            return;
        }
        dx.fill(0.0);
        let kernel = MatrixRef::row_major(kernel, depth, outputs).transposed();
        let pixels = self.windows.rows.output * self.windows.columns.output;
        dx.par_chunks_mut(self.input_image())
            .zip(dy.par_chunks(pixels * outputs))
            .for_each_init(Vec::new, |buffer, (dx, dy)| {
                let mut first = 0;
                while first < pixels {
                    let count = self.block_pixels().min(pixels - first);
                    buffer.resize(count * depth, 0.0);
                    let part = &dy[first * outputs..(first + count) * outputs];
                    let part = MatrixRef::row_major(part, count, outputs);
                    gemm(
                        1.0,
                        part,
                        kernel,
                        0.0,
                        MatrixMut::row_major(buffer, count, depth),
                    );
                    self.scatter(buffer, first, count, dx);
                    first += count;
                }
            });
    }

    /// With stride 1, the input's gradient is itself a convolution: of `dy` with
    /// the kernel turned by half a turn and its channels exchanged.
    fn input_correlation(&self) -> Option<Self> {
        let turned = |span: &Span| {
            let reach = span.window - 1;
            (span.stride == 1 && span.before <= reach && span.after <= reach).then(|| Span {
                input: span.output,
                output: span.input,
                before: reach - span.before,
                after: reach - span.after,
                ..*span
            })
        };
        let windows = Windows {
            rows: turned(&self.windows.rows)?,
            columns: turned(&self.windows.columns)?,
        };
        Some(Self {
            windows,
            inputs: self.outputs,
            outputs: self.inputs,
            ..*self
        })
    }

    fn flipped(&self, kernel: &[f32]) -> Vec<f32> {
        let tap = self.inputs * self.outputs;
        let mut flipped = vec![0.0; kernel.len()];
        for (target, source) in flipped
            .chunks_exact_mut(tap)
            .zip(kernel.chunks_exact(tap).rev())
        {
            for (input, row) in source.chunks_exact(self.outputs).enumerate() {
                for (output, &value) in row.iter().enumerate() {
                    target[output * self.inputs + input] = value;
                }
            }
        }
        flipped
    }

    /// The rows `first .. first + count` of the column matrix.
    fn columns<'b>(
        &self,
        x: &'b [f32],
        first: usize,
        count: usize,
        buffer: &'b mut Vec<f32>,
    ) -> &'b [f32] {
        let depth = self.depth();
        if self.is_dense() {
            return &x[first * depth..(first + count) * depth];
        }
        buffer.resize(count * depth, 0.0);
        for (pixel, row) in (first..first + count).zip(buffer.chunks_exact_mut(depth)) {
            let (image, oh, ow) = self.position(pixel);
            let x = &x[image * self.input_image()..(image + 1) * self.input_image()];
            self.for_taps(oh, ow, |tap_start, length, source| {
                let target = &mut row[tap_start..tap_start + length];
                match source {
                    Some(offset) => target.copy_from_slice(&x[offset..offset + length]),
                    None => target.fill(0.0),
                }
            });
        }
        buffer
    }

    /// Adds rows of a column matrix to the pixels of one image they came from.
    fn scatter(&self, columns: &[f32], first: usize, count: usize, dx: &mut [f32]) {
        for (pixel, row) in (first..first + count).zip(columns.chunks_exact(self.depth())) {
            let (_, oh, ow) = self.position(pixel);
            self.for_taps(oh, ow, |tap_start, length, source| {
                if let Some(offset) = source {
                    let values = &row[tap_start..tap_start + length];
                    for (sum, value) in dx[offset..offset + length].iter_mut().zip(values) {
                        *sum += value;
                    }
                }
            });
        }
    }

    fn position(&self, pixel: usize) -> (usize, usize, usize) {
        let (rows, columns) = (self.windows.rows.output, self.windows.columns.output);
        (
            pixel / (rows * columns),
            pixel / columns % rows,
            pixel % columns,
        )
    }

    /// Runs of a window: start within the window, length, and where it lies in
    /// the image; `None` for padding. A window row is at most three runs.
    fn for_taps(&self, oh: usize, ow: usize, mut visit: impl FnMut(usize, usize, Option<usize>)) {
        let Windows { rows, columns } = &self.windows;
        let channels = self.inputs;
        let left = (ow * columns.stride) as isize - columns.before as isize;
        let skip = (-left).clamp(0, columns.window as isize) as usize;
        let inside =
            (columns.input as isize - left).clamp(skip as isize, columns.window as isize) as usize;
        let start_column = (left + skip as isize) as usize;
        for tap_row in 0..rows.window {
            let at = tap_row * columns.window * channels;
            let row = (oh * rows.stride + tap_row) as isize - rows.before as isize;
            if row < 0 || row >= rows.input as isize {
                visit(at, columns.window * channels, None);
                continue;
            }
            if skip > 0 {
                visit(at, skip * channels, None);
            }
            if inside > skip {
                let offset = row as usize * self.input_row() + start_column * channels;
                visit(
                    at + skip * channels,
                    (inside - skip) * channels,
                    Some(offset),
                );
            }
            if inside < columns.window {
                visit(
                    at + inside * channels,
                    (columns.window - inside) * channels,
                    None,
                );
            }
        }
    }
}
