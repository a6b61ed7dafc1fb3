//! Passes over `[rows, channels]` data: batch norm and its relatives.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::convolution::PartialStats;
use crate::Activation;
use crate::memory::Buffer;
use crate::simd::{BlockMut, SimdLevel, fill_beside, fill_blocks, whole};

/// Elements of a chunk: it stays in the second-level cache while it is worked on.
/// Fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 1 << 15;

/// Rows that are added up in one go: a sum of short sums loses less to rounding, and near
/// zero that decides what a ReLU lets through.
const SHORT_SUM: usize = 32;

/// `sums += few`, and `few` starts anew.
#[inline(always)]
fn move_into(few: &mut [f32], sums: &mut [f32]) {
    for (sum, few) in sums.iter_mut().zip(few) {
        *sum += std::mem::take(few);
    }
}

/// Mean and biased variance of each channel.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChannelStats {
    pub(crate) mean: Vec<f32>,
    pub(crate) variance: Vec<f32>,
}

impl ChannelStats {
    /// Combines the statistics of parts in f64 (Chan, Golub and LeVeque 1983).
    pub(super) fn combine(partials: &[PartialStats], channels: usize) -> Self {
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
pub(super) fn chunks(rows: usize, channels: usize) -> Vec<Range<usize>> {
    let size = (CHUNK / channels).max(1);
    (0..rows)
        .step_by(size)
        .map(|start| start..rows.min(start + size))
        .collect()
}

/// Each chunk is centred on its own mean while it is in cache. So data far from zero
/// lose no digits, unlike with E[x²] − E[x]².
pub(super) fn stats(level: SimdLevel, x: &[f32], channels: usize) -> ChannelStats {
    let partials: Vec<PartialStats> = chunks(x.len() / channels, channels)
        .into_par_iter()
        .map(|rows| {
            let chunk = &x[rows.start * channels..rows.end * channels];
            level.run(ChunkStats { chunk, channels })
        })
        .collect();
    ChannelStats::combine(&partials, channels)
}

struct ChunkStats<'a> {
    chunk: &'a [f32],
    channels: usize,
}

impl WithSimd for ChunkStats<'_> {
    type Output = PartialStats;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> PartialStats {
        let Self { chunk, channels } = self;
        let count = chunk.len() / channels;
        let mut mean = vec![0.0; channels];
        let mut squares = vec![0.0; channels];
        // Sums of distances from the first row: small numbers, whatever the mean.
        let origin = &chunk[..channels];
        let mut few = vec![0.0; channels];
        for rows in chunk.chunks(SHORT_SUM * channels) {
            for row in rows.chunks_exact(channels) {
                for ((sum, &origin), &value) in few.iter_mut().zip(origin).zip(row) {
                    *sum += value - origin;
                }
            }
            move_into(&mut few, &mut mean);
        }
        for (sum, &origin) in mean.iter_mut().zip(origin) {
            *sum = origin + *sum / count as f32;
        }
        for rows in chunk.chunks(SHORT_SUM * channels) {
            for row in rows.chunks_exact(channels) {
                for ((sum, &mean), &value) in few.iter_mut().zip(&mean).zip(row) {
                    *sum += (value - mean) * (value - mean);
                }
            }
            move_into(&mut few, &mut squares);
        }
        PartialStats {
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
    pub(super) fn apply(&self, level: SimdLevel, x: &[f32]) -> Buffer {
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

    pub(super) fn floor(&self) -> f32 {
        match self.activation {
            Activation::Relu => 0.0,
            Activation::Identity => f32::NEG_INFINITY,
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
    pub(super) fn sums(&self, level: SimdLevel, dy: &[f32]) -> (Vec<f64>, Vec<f64>) {
        let channels = self.channels();
        let size = (CHUNK / channels).max(1) * channels;
        let partials: Vec<(Vec<f32>, Vec<f32>)> = dy
            .par_chunks(size)
            .enumerate()
            .map(|(chunk, dy)| {
                let offset = chunk * size;
                level.run(SumChunk {
                    gradient: self,
                    offset,
                    dy,
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

    /// `dx = a g + b (x − centre) + c` per channel, in the place of `dy`.
    pub(super) fn input(&self, level: SimdLevel, [a, b, c]: [&[f32]; 3], dy: &mut [f32]) {
        let size = (CHUNK / self.channels()).max(1) * self.channels();
        dy.par_chunks_mut(size).enumerate().for_each(|(chunk, dy)| {
            let offset = chunk * size;
            level.run(InputChunk {
                gradient: self,
                factors: [a, b, c],
                offset,
                dy,
            });
        });
    }

    /// As `input`, but `dx` is a new buffer, and `dy` becomes `g`, the residual's gradient.
    pub(super) fn input_and_residual(
        &self,
        level: SimdLevel,
        [a, b, c]: [&[f32]; 3],
        dy: &mut [f32],
    ) -> Buffer {
        let channels = self.channels();
        let size = (CHUNK / channels).max(1) * channels;
        fill_beside(dy, size, |chunk, dy, dx| {
            let offset = chunk * size;
            let chunk = InputChunk {
                gradient: self,
                factors: [a, b, c],
                offset,
                dy,
            };
            level.run(InputAndResidual { chunk, dx });
        })
    }

    /// Replaces a row of `dy`, which begins at `at` in the map, by what `make` makes of the
    /// channel, `x` and `dy` through the activation.
    #[inline(always)]
    fn through(&self, at: usize, dy: &mut [f32], make: impl Fn(usize, f32, f32) -> f32) {
        let channels = self.channels();
        let x = &self.x[at..at + channels];
        let dy = &mut dy[..channels];
        match self.gate {
            Gate::Open => {
                for c in 0..channels {
                    dy[c] = make(c, x[c], dy[c]);
                }
            }
            Gate::Output(y) => {
                let y = &y[at..at + channels];
                for c in 0..channels {
                    dy[c] = make(c, x[c], if y[c] > 0.0 { dy[c] } else { 0.0 });
                }
            }
            Gate::Input => {
                let (scale, shift) = (&self.scale[..channels], &self.shift[..channels]);
                for c in 0..channels {
                    let open = x[c] * scale[c] + shift[c] > 0.0;
                    dy[c] = make(c, x[c], if open { dy[c] } else { 0.0 });
                }
            }
        }
    }

    /// Shows `visit` the channel, `x` and `dy` through the activation, for one row.
    #[inline(always)]
    fn visit(&self, at: usize, dy: &[f32], mut visit: impl FnMut(usize, f32, f32)) {
        let channels = self.channels();
        let x = &self.x[at..at + channels];
        let dy = &dy[..channels];
        match self.gate {
            Gate::Open => {
                for c in 0..channels {
                    visit(c, x[c], dy[c]);
                }
            }
            Gate::Output(y) => {
                let y = &y[at..at + channels];
                for c in 0..channels {
                    visit(c, x[c], if y[c] > 0.0 { dy[c] } else { 0.0 });
                }
            }
            Gate::Input => {
                let (scale, shift) = (&self.scale[..channels], &self.shift[..channels]);
                for c in 0..channels {
                    let open = x[c] * scale[c] + shift[c] > 0.0;
                    visit(c, x[c], if open { dy[c] } else { 0.0 });
                }
            }
        }
    }
}

struct SumChunk<'a> {
    gradient: &'a AffineGradient<'a>,
    offset: usize,
    dy: &'a [f32],
}

impl WithSimd for SumChunk<'_> {
    type Output = (Vec<f32>, Vec<f32>);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> (Vec<f32>, Vec<f32>) {
        let channels = self.gradient.channels();
        let (mut plain, mut weighted) = (vec![0.0; channels], vec![0.0; channels]);
        let (mut few, mut few_weighted) = (vec![0.0; channels], vec![0.0; channels]);
        let centre = &self.gradient.centre[..channels];
        for (group, dy) in self.dy.chunks(SHORT_SUM * channels).enumerate() {
            let first = self.offset + group * SHORT_SUM * channels;
            {
                let (few, few_weighted) = (&mut few[..channels], &mut few_weighted[..channels]);
                for (index, dy) in dy.chunks_exact(channels).enumerate() {
                    self.gradient
                        .visit(first + index * channels, dy, |c, x, g| {
                            few[c] += g;
                            few_weighted[c] += g * (x - centre[c]);
                        });
                }
            }
            move_into(&mut few, &mut plain);
            move_into(&mut few_weighted, &mut weighted);
        }
        (plain, weighted)
    }
}

struct InputChunk<'a> {
    gradient: &'a AffineGradient<'a>,
    factors: [&'a [f32]; 3],
    offset: usize,
    dy: &'a mut [f32],
}

impl WithSimd for InputChunk<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let channels = self.gradient.channels();
        let [a, b, c] = self.factors.map(|factor| &factor[..channels]);
        let centre = &self.gradient.centre[..channels];
        for (index, dy) in self.dy.chunks_exact_mut(channels).enumerate() {
            let at = self.offset + index * channels;
            self.gradient
                .through(at, dy, |i, x, g| a[i] * g + b[i] * (x - centre[i]) + c[i]);
        }
    }
}

struct InputAndResidual<'a> {
    chunk: InputChunk<'a>,
    dx: BlockMut<'a>,
}

impl WithSimd for InputAndResidual<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let InputChunk {
            gradient,
            factors,
            offset,
            dy,
        } = self.chunk;
        let channels = gradient.channels();
        let [a, b, c] = factors.map(|factor| &factor[..channels]);
        let centre = &gradient.centre[..channels];
        let rows = dy
            .chunks_exact_mut(channels)
            .zip(self.dx.all_mut().chunks_exact_mut(channels));
        for (index, (dy, dx)) in rows.enumerate() {
            let at = offset + index * channels;
            gradient.through(at, dy, |_, _, g| g);
            let x = &gradient.x[at..at + channels];
            for i in 0..channels {
                dx[i] = a[i] * dy[i] + b[i] * (x[i] - centre[i]) + c[i];
            }
        }
    }
}

/// `max(x, 0)`.
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

/// `sum += values`, in place.
pub(super) fn accumulate(level: SimdLevel, sum: &mut [f32], values: &[f32]) {
    sum.par_chunks_mut(CHUNK)
        .zip(values.par_chunks(CHUNK))
        .for_each(|(sum, values)| level.run(AddChunk { sum, values }));
}

struct AddChunk<'a> {
    sum: &'a mut [f32],
    values: &'a [f32],
}

impl WithSimd for AddChunk<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (sum, value) in self.sum.iter_mut().zip(self.values) {
            *sum += value;
        }
    }
}
