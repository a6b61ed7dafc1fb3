//! Passes over `[rows, channels]` data: batch norm and its relatives.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::convolution::Partial;
use crate::Activation;
use crate::simd::{BlockMut, SimdLevel, fill_blocks, fill_matrices, whole};

/// Elements of a chunk: it stays in the second-level cache while it is worked on.
/// Fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 1 << 15;

/// Mean and biased variance of each channel.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moments {
    pub(crate) mean: Vec<f32>,
    pub(crate) variance: Vec<f32>,
}

impl Moments {
    /// Combines the moments of parts in f64 (Chan, Golub and LeVeque 1983).
    pub(super) fn combine(partials: &[Partial], channels: usize) -> Self {
        let mut count = vec![0f64; channels];
        let mut mean = vec![0f64; channels];
        let mut squares = vec![0f64; channels];
        for part in partials {
            let added = part.count as f64;
            for (c, (&part_mean, &part_squares)) in part
                .channels
                .clone()
                .zip(part.mean.iter().zip(&part.squares))
            {
                let total = count[c] + added;
                let delta = f64::from(part_mean) - mean[c];
                mean[c] += delta * added / total;
                squares[c] += f64::from(part_squares) + delta * delta * count[c] * added / total;
                count[c] = total;
            }
        }
        Self {
            mean: mean.iter().map(|&m| m as f32).collect(),
            variance: squares
                .iter()
                .zip(&count)
                .map(|(&s, &n)| (s / n) as f32)
                .collect(),
        }
    }
}

/// Ranges of rows, each about a chunk.
fn chunks(rows: usize, channels: usize) -> Vec<Range<usize>> {
    let size = (CHUNK / channels).max(1);
    (0..rows)
        .step_by(size)
        .map(|start| start..rows.min(start + size))
        .collect()
}

/// Each chunk is centred on its own mean while it is in cache. So data far from zero
/// lose no digits, unlike with E[x²] − E[x]².
pub(super) fn moments(level: SimdLevel, x: &[f32], channels: usize) -> Moments {
    let partials: Vec<Partial> = chunks(x.len() / channels, channels)
        .into_par_iter()
        .map(|rows| {
            let chunk = &x[rows.start * channels..rows.end * channels];
            level.run(ChunkMoments { chunk, channels })
        })
        .collect();
    Moments::combine(&partials, channels)
}

struct ChunkMoments<'a> {
    chunk: &'a [f32],
    channels: usize,
}

impl WithSimd for ChunkMoments<'_> {
    type Output = Partial;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Partial {
        let Self { chunk, channels } = self;
        let count = chunk.len() / channels;
        let mut mean = vec![0.0; channels];
        let mut squares = vec![0.0; channels];
        // Sums of distances from the first row: small numbers, whatever the mean.
        let origin = &chunk[..channels];
        for row in chunk.chunks_exact(channels) {
            for ((sum, &origin), &value) in mean.iter_mut().zip(origin).zip(row) {
                *sum += value - origin;
            }
        }
        for (sum, &origin) in mean.iter_mut().zip(origin) {
            *sum = origin + *sum / count as f32;
        }
        for row in chunk.chunks_exact(channels) {
            for ((sum, &mean), &value) in squares.iter_mut().zip(&mean).zip(row) {
                *sum += (value - mean) * (value - mean);
            }
        }
        Partial {
            channels: 0..channels,
            count,
            mean,
            squares,
        }
    }
}

/// `y = act(x scale + shift + residual)`, a scale and a shift per channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Affine<'a> {
    pub(super) scale: &'a [f32],
    pub(super) shift: &'a [f32],
    pub(super) residual: Option<&'a [f32]>,
    pub(super) activation: Activation,
}

impl Affine<'_> {
    pub(super) fn apply(&self, level: SimdLevel, x: &[f32]) -> Vec<f32> {
        let channels = self.scale.len();
        let rows = chunks(x.len() / channels, channels);
        let all = whole(channels);
        let work = |chunk: usize, _: usize, block: BlockMut<'_>| {
            let first = rows[chunk].start;
            let x = &x[first * channels..rows[chunk].end * channels];
            level.run(AffineChunk {
                affine: self,
                x,
                first,
                block,
            });
        };
        fill_blocks(channels, &rows, &all, work).0
    }

    fn floor(&self) -> f32 {
        match self.activation {
            Activation::Relu => 0.0,
            Activation::Identity => f32::NEG_INFINITY,
        }
    }

    /// The same in place, on some rows and channels of the result of a product.
    #[inline(always)]
    pub(super) fn apply_in_place(
        &self,
        y: &mut BlockMut<'_>,
        first_row: usize,
        first_channel: usize,
    ) {
        let of_block = first_channel..first_channel + y.columns();
        let (scale, shift) = (&self.scale[of_block.clone()], &self.shift[of_block.clone()]);
        let floor = self.floor();
        for index in 0..y.rows() {
            let row = y.row_mut(index);
            match self.residual {
                None => {
                    for ((y, &scale), &shift) in row.iter_mut().zip(scale).zip(shift) {
                        *y = at_least(floor, *y * scale + shift);
                    }
                }
                Some(residual) => {
                    let start = (first_row + index) * self.scale.len();
                    let residual = &residual[start..][of_block.clone()];
                    let parameters = scale.iter().zip(shift).zip(residual);
                    for (y, ((&scale, &shift), &residual)) in row.iter_mut().zip(parameters) {
                        *y = at_least(floor, *y * scale + shift + residual);
                    }
                }
            }
        }
    }
}

/// Written so that NaN is passed on.
#[inline(always)]
fn at_least(floor: f32, value: f32) -> f32 {
    if value < floor { floor } else { value }
}

struct AffineChunk<'a> {
    affine: &'a Affine<'a>,
    x: &'a [f32],
    first: usize,
    block: BlockMut<'a>,
}

impl WithSimd for AffineChunk<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let Affine {
            scale,
            shift,
            residual,
            ..
        } = *self.affine;
        let channels = scale.len();
        let shift = &shift[..channels];
        let floor = self.affine.floor();
        for (index, x) in self.x.chunks_exact(channels).enumerate() {
            let y = &mut self.block.row_mut(index)[..channels];
            match residual {
                None => {
                    for c in 0..channels {
                        y[c] = at_least(floor, x[c] * scale[c] + shift[c]);
                    }
                }
                Some(residual) => {
                    let residual = &residual[(self.first + index) * channels..][..channels];
                    for c in 0..channels {
                        y[c] = at_least(floor, x[c] * scale[c] + shift[c] + residual[c]);
                    }
                }
            }
        }
    }
}

/// What the gradient of `act(x scale + shift + residual)` is computed from.
#[derive(Debug, Clone, Copy)]
pub(super) struct AffineGradient<'a> {
    pub(super) x: &'a [f32],
    pub(super) dy: &'a [f32],
    pub(super) scale: &'a [f32],
    pub(super) shift: &'a [f32],
    /// The channel's mean: sums are taken about it.
    pub(super) centre: &'a [f32],
    pub(super) gate: Gate<'a>,
}

/// Where gradients pass the activation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gate<'a> {
    /// Everywhere.
    Open,
    /// Where `x scale + shift` is positive.
    Input,
    /// Where the result is positive; needed where a residual was added.
    Output(&'a [f32]),
}

impl AffineGradient<'_> {
    fn channels(&self) -> usize {
        self.scale.len()
    }

    /// Per channel: the sum of `g` and of `g (x − centre)`, where `g` is `dy` through
    /// the activation.
    pub(super) fn sums(&self, level: SimdLevel) -> (Vec<f64>, Vec<f64>) {
        let channels = self.channels();
        let partials: Vec<(Vec<f32>, Vec<f32>)> = chunks(self.x.len() / channels, channels)
            .into_par_iter()
            .map(|rows| {
                level.run(SumChunk {
                    gradient: self,
                    rows,
                })
            })
            .collect();
        let mut sums = (vec![0f64; channels], vec![0f64; channels]);
        for (plain, weighted) in &partials {
            for c in 0..channels {
                sums.0[c] += f64::from(plain[c]);
                sums.1[c] += f64::from(weighted[c]);
            }
        }
        sums
    }

    /// `dx = a g + b (x − centre) + c` per channel, and `g` itself, the residual's gradient,
    /// if it is wanted.
    pub(super) fn input(
        &self,
        level: SimdLevel,
        [a, b, c]: [&[f32]; 3],
        with_residual: bool,
    ) -> (Vec<f32>, Option<Vec<f32>>) {
        let channels = self.channels();
        let rows = chunks(self.x.len() / channels, channels);
        let all = whole(channels);
        if !with_residual {
            let work = |chunk: usize, _: usize, dx: BlockMut<'_>| {
                let rows = rows[chunk].clone();
                let chunk = InputChunk {
                    gradient: self,
                    factors: [a, b, c],
                    rows,
                };
                level.run(PlainInput { chunk, dx });
            };
            return (fill_blocks(channels, &rows, &all, work).0, None);
        }
        let work = |chunk: usize, _: usize, [dx, dresidual]: [BlockMut<'_>; 2]| {
            let rows = rows[chunk].clone();
            let chunk = InputChunk {
                gradient: self,
                factors: [a, b, c],
                rows,
            };
            level.run(InputAndResidual {
                chunk,
                dx,
                dresidual,
            });
        };
        let ([dx, dresidual], _) = fill_matrices(channels, &rows, &all, work);
        (dx, Some(dresidual))
    }

    /// `dy` through the activation, one row of it.
    #[inline(always)]
    fn through(&self, row: usize, visit: impl FnMut(usize, f32, f32)) {
        let channels = self.channels();
        let at = row * channels..(row + 1) * channels;
        let (x, dy) = (&self.x[at.clone()], &self.dy[at.clone()]);
        match self.gate {
            Gate::Open => each(x, dy, |_| true, visit),
            Gate::Output(y) => {
                let y = &y[at];
                each(x, dy, |c| y[c] > 0.0, visit);
            }
            Gate::Input => {
                let (scale, shift) = (&self.scale[..channels], &self.shift[..channels]);
                each(x, dy, |c| x[c] * scale[c] + shift[c] > 0.0, visit);
            }
        }
    }
}

#[inline(always)]
fn each(
    x: &[f32],
    dy: &[f32],
    passes: impl Fn(usize) -> bool,
    mut visit: impl FnMut(usize, f32, f32),
) {
    for (c, (&x, &dy)) in x.iter().zip(dy).enumerate() {
        visit(c, x, if passes(c) { dy } else { 0.0 });
    }
}

struct SumChunk<'a> {
    gradient: &'a AffineGradient<'a>,
    rows: Range<usize>,
}

impl WithSimd for SumChunk<'_> {
    type Output = (Vec<f32>, Vec<f32>);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> (Vec<f32>, Vec<f32>) {
        let channels = self.gradient.channels();
        let (mut plain, mut weighted) = (vec![0.0; channels], vec![0.0; channels]);
        let centre = &self.gradient.centre[..channels];
        {
            let (plain, weighted) = (&mut plain[..channels], &mut weighted[..channels]);
            for row in self.rows {
                self.gradient.through(row, |c, x, g| {
                    plain[c] += g;
                    weighted[c] += g * (x - centre[c]);
                });
            }
        }
        (plain, weighted)
    }
}

struct InputChunk<'a> {
    gradient: &'a AffineGradient<'a>,
    factors: [&'a [f32]; 3],
    rows: Range<usize>,
}

struct PlainInput<'a> {
    chunk: InputChunk<'a>,
    dx: BlockMut<'a>,
}

impl WithSimd for PlainInput<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let gradient = self.chunk.gradient;
        let channels = gradient.channels();
        let [a, b, c] = self.chunk.factors.map(|factor| &factor[..channels]);
        let centre = &gradient.centre[..channels];
        for (index, row) in self.chunk.rows.enumerate() {
            let dx = &mut self.dx.row_mut(index)[..channels];
            gradient.through(row, |i, x, g| {
                dx[i] = a[i] * g + b[i] * (x - centre[i]) + c[i]
            });
        }
    }
}

struct InputAndResidual<'a> {
    chunk: InputChunk<'a>,
    dx: BlockMut<'a>,
    dresidual: BlockMut<'a>,
}

impl WithSimd for InputAndResidual<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let gradient = self.chunk.gradient;
        let channels = gradient.channels();
        let [a, b, c] = self.chunk.factors.map(|factor| &factor[..channels]);
        let centre = &gradient.centre[..channels];
        for (index, row) in self.chunk.rows.enumerate() {
            let dx = &mut self.dx.row_mut(index)[..channels];
            let dresidual = &mut self.dresidual.row_mut(index)[..channels];
            gradient.through(row, |i, x, g| {
                dresidual[i] = g;
                dx[i] = a[i] * g + b[i] * (x - centre[i]) + c[i];
            });
        }
    }
}

/// `max(x, 0)`.
pub(super) fn rectify(level: SimdLevel, x: &[f32]) -> Vec<f32> {
    map(level, x, x, |x, _| if x < 0.0 { 0.0 } else { x })
}

/// `dy` where `y` is positive.
pub(super) fn rectify_backward(level: SimdLevel, y: &[f32], dy: &[f32]) -> Vec<f32> {
    map(level, y, dy, |y, dy| if y > 0.0 { dy } else { 0.0 })
}

fn map(
    level: SimdLevel,
    x: &[f32],
    y: &[f32],
    function: impl Fn(f32, f32) -> f32 + Copy + Sync,
) -> Vec<f32> {
    let rows = chunks(x.len(), 1);
    let work = |chunk: usize, _: usize, mut block: BlockMut<'_>| {
        let at = rows[chunk].clone();
        let (x, y) = (&x[at.clone()], &y[at]);
        let target = block.all_mut();
        level.run(MapChunk {
            x,
            y,
            target,
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
