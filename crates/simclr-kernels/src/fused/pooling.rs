//! Pooling over windows and over whole maps.

use pulp::Arch;
use rayon::prelude::*;

use crate::geometry::{Span, Windows};

/// The sizes of a pooling op.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pooling {
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
    pub(super) fn max_forward(&self, x: &[f32], y: &mut [f32]) {
        self.each_output_row(x, y, |x, oh, y| {
            y.fill(f32::NEG_INFINITY);
            self.each_tap(oh, |ow, offset| {
                let target = &mut y[ow * self.channels..(ow + 1) * self.channels];
                for (best, &value) in target.iter_mut().zip(&x[offset..offset + self.channels]) {
                    // Written so that NaN is passed on.
                    *best = if *best >= value { *best } else { value };
                }
            });
        });
    }

    /// The gradient goes to the first of several equal maxima, as in TensorFlow.
    pub(super) fn max_backward(&self, x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32]) {
        let (input, output, channels) = (self.input_image(), self.output_image(), self.channels);
        dx.par_chunks_mut(input)
            .zip(x.par_chunks(input))
            .zip(y.par_chunks(output).zip(dy.par_chunks(output)))
            .for_each_init(Vec::new, |left: &mut Vec<f32>, ((dx, x), (y, dy))| {
                dx.fill(0.0);
                let row = self.windows.columns.output * channels;
                for oh in 0..self.windows.rows.output {
                    // What has not found its maximum yet.
                    left.clear();
                    left.extend_from_slice(&dy[oh * row..(oh + 1) * row]);
                    let y = &y[oh * row..(oh + 1) * row];
                    Arch::new().dispatch(|| {
                        self.each_tap(oh, |ow, offset| {
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
                    });
                }
            });
    }

    /// The sum over each window times the window's weight.
    pub(super) fn average_forward(&self, x: &[f32], weights: &[f32], y: &mut [f32]) {
        let channels = self.channels;
        self.each_output_row(x, y, |x, oh, y| {
            y.fill(0.0);
            self.each_tap(oh, |ow, offset| {
                let weight = weights[oh * self.windows.columns.output + ow];
                let target = &mut y[ow * channels..(ow + 1) * channels];
                for (sum, &value) in target.iter_mut().zip(&x[offset..offset + channels]) {
                    *sum += weight * value;
                }
            });
        });
    }

    pub(super) fn average_backward(&self, weights: &[f32], dy: &[f32], dx: &mut [f32]) {
        let (channels, output) = (self.channels, self.output_image());
        dx.par_chunks_mut(self.input_image())
            .zip(dy.par_chunks(output))
            .for_each(|(dx, dy)| {
                dx.fill(0.0);
                for oh in 0..self.windows.rows.output {
                    self.each_tap(oh, |ow, offset| {
                        let window = oh * self.windows.columns.output + ow;
                        let dy = &dy[window * channels..(window + 1) * channels];
                        for (sum, &value) in dx[offset..offset + channels].iter_mut().zip(dy) {
                            *sum += weights[window] * value;
                        }
                    });
                }
            });
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

    fn each_output_row(
        &self,
        x: &[f32],
        y: &mut [f32],
        work: impl Fn(&[f32], usize, &mut [f32]) + Sync,
    ) {
        let row = self.windows.columns.output * self.channels;
        y.par_chunks_mut(row).enumerate().for_each(|(index, y)| {
            let (image, oh) = (
                index / self.windows.rows.output,
                index % self.windows.rows.output,
            );
            let x = &x[image * self.input_image()..(image + 1) * self.input_image()];
            Arch::new().dispatch(|| work(x, oh, y));
        });
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

/// The mean over the pixels of each map.
pub(super) fn global_average(x: &[f32], pixels: usize, channels: usize, y: &mut [f32]) {
    let scale = 1.0 / pixels as f32;
    y.par_chunks_mut(channels)
        .zip(x.par_chunks(pixels * channels))
        .for_each(|(y, x)| {
            Arch::new().dispatch(|| {
                y.fill(0.0);
                for pixel in x.chunks_exact(channels) {
                    for (sum, &value) in y.iter_mut().zip(pixel) {
                        *sum += value;
                    }
                }
                y.iter_mut().for_each(|sum| *sum *= scale);
            });
        });
}

/// Its gradient: each pixel gets an equal share.
pub(super) fn global_average_backward(dy: &[f32], pixels: usize, channels: usize, dx: &mut [f32]) {
    let scale = 1.0 / pixels as f32;
    dx.par_chunks_mut(pixels * channels)
        .zip(dy.par_chunks(channels))
        .for_each(|(dx, dy)| {
            for pixel in dx.chunks_exact_mut(channels) {
                for (share, &value) in pixel.iter_mut().zip(dy) {
                    *share = scale * value;
                }
            }
        });
}
