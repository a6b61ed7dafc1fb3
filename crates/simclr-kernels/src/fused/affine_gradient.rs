//! The gradient of `y = act(x scale + shift + residual)`, where scale and shift may depend
//! on the batch.

use std::ops::Range;

use rayon::prelude::*;

use super::chunks::{SHORT_SUM, chunk_len, move_into, staged_rows};
use super::map_buffer::MapBuffer;
use crate::simd::{Format, Numbers, SimdLevel, fill_beside, fn_per_level, round_to_pairs};

/// What the gradient of `act(x scale + shift + residual)` is computed from: of whole maps, or of
/// some of their rows as f32.
#[derive(Debug, Clone, Copy)]
pub(super) struct AffineGradient<'a, T = Numbers<'a>> {
    pub(super) x: T,
    pub(super) scale: &'a [f32],
    pub(super) shift: &'a [f32],
    /// The channel's mean: sums are taken about it.
    pub(super) centre: &'a [f32],
    pub(super) gate: Gate<T>,
}

/// Where gradients pass the activation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gate<T> {
    /// Everywhere.
    Open,
    /// Where `x scale + shift` is positive.
    Input,
    /// Where the result is positive; needed where a residual was added.
    Output(T),
}

impl<T> AffineGradient<'_, T> {
    fn channels(&self) -> usize {
        self.scale.len()
    }
}

impl AffineGradient<'_> {
    /// Per channel: the sum of `g` and of `g (x − centre)`, where `g` is `dy` through
    /// the activation.
    pub(super) fn sums(&self, level: SimdLevel, dy: Numbers<'_>) -> (Vec<f64>, Vec<f64>) {
        let channels = self.channels();
        let size = chunk_len(channels);
        let partials: Vec<(Vec<f32>, Vec<f32>)> = (0..dy.len().div_ceil(size))
            .into_par_iter()
            .map(|chunk| {
                let numbers = chunk * size..dy.len().min((chunk + 1) * size);
                chunk_sums(level, self, numbers, dy)
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
    pub(super) fn input(&self, level: SimdLevel, factors: [&[f32]; 3], dy: &mut MapBuffer) {
        let (channels, format) = (self.channels(), dy.format());
        dy.places_mut()
            .par_chunks_mut(format.places(chunk_len(channels)))
            .enumerate()
            .for_each(|(chunk, dy)| {
                let first = chunk * chunk_len(channels);
                input_chunk(level, self, factors, first, format, dy);
            });
    }

    /// As `input`, but `dx` is new, and `dy` becomes `g`, the residual's gradient.
    pub(super) fn input_and_residual(
        &self,
        level: SimdLevel,
        factors: [&[f32]; 3],
        dy: &mut MapBuffer,
    ) -> MapBuffer {
        let (channels, format) = (self.channels(), dy.format());
        let size = format.places(chunk_len(channels));
        let dx = fill_beside(dy.places_mut(), size, |chunk, dy, dx| {
            let first = chunk * chunk_len(channels);
            input_and_residual_chunk(level, self, factors, first, format, dy, dx);
        });
        MapBuffer::new(format, dx)
    }

    /// Some numbers of it as f32.
    #[inline(always)]
    fn read<'s>(
        &'s self,
        numbers: Range<usize>,
        [x, y]: &'s mut [Vec<f32>; 2],
    ) -> AffineGradient<'s, &'s [f32]> {
        AffineGradient {
            x: self.x.read_part(numbers.clone(), x),
            scale: self.scale,
            shift: self.shift,
            centre: self.centre,
            gate: match self.gate {
                Gate::Open => Gate::Open,
                Gate::Input => Gate::Input,
                Gate::Output(output) => Gate::Output(output.read_part(numbers, y)),
            },
        }
    }
}

impl AffineGradient<'_, &[f32]> {
    /// Replaces a row of `dy`, which begins at `at` in the map, by what `make` makes of the
    /// channel, `x` and `dy` through the activation.
    // Twice as fast as one function for this and `visit` that leaves the selection to the
    // closures.
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

    /// See [`AffineGradient::input`].
    #[inline(always)]
    fn input_of_rows(&self, [a, b, c]: [&[f32]; 3], dy: &mut [f32]) {
        let channels = self.channels();
        let (a, b, c) = (&a[..channels], &b[..channels], &c[..channels]);
        let centre = &self.centre[..channels];
        for (index, dy) in dy.chunks_exact_mut(channels).enumerate() {
            let make = |i: usize, x: f32, g: f32| a[i] * g + b[i] * (x - centre[i]) + c[i];
            self.through(index * channels, dy, make);
        }
    }

    /// See [`AffineGradient::input_and_residual`].
    #[inline(always)]
    fn input_and_residual_of_rows(&self, [a, b, c]: [&[f32]; 3], dy: &mut [f32], dx: &mut [f32]) {
        let channels = self.channels();
        let (a, b, c) = (&a[..channels], &b[..channels], &c[..channels]);
        let centre = &self.centre[..channels];
        let rows = dy
            .chunks_exact_mut(channels)
            .zip(dx.chunks_exact_mut(channels));
        for (index, (dy, dx)) in rows.enumerate() {
            let at = index * channels;
            self.through(at, dy, |_, _, g| g);
            let x = &self.x[at..at + channels];
            for i in 0..channels {
                dx[i] = a[i] * dy[i] + b[i] * (x[i] - centre[i]) + c[i];
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

fn_per_level! {
    fn chunk_sums<'a>(
        gradient: &'a AffineGradient<'a>,
        numbers: Range<usize>,
        dy: Numbers<'a>,
    ) -> (Vec<f32>, Vec<f32>) {
        let channels = gradient.channels();
        let (mut plain, mut weighted) = (vec![0.0; channels], vec![0.0; channels]);
        let (mut few, mut few_weighted) = (vec![0.0; channels], vec![0.0; channels]);
        let (mut stages, mut stage) = (<[Vec<f32>; 2]>::default(), Vec::new());
        let centre = &gradient.centre[..channels];
        for first in numbers.clone().step_by(SHORT_SUM * channels) {
            let end = numbers.end.min(first + SHORT_SUM * channels);
            for start in (first..end).step_by(staged_rows(channels) * channels) {
                let staged = start..end.min(start + staged_rows(channels) * channels);
                let dy = dy.read_part(staged.clone(), &mut stage);
                let gradient = gradient.read(staged, &mut stages);
                let (few, few_weighted) = (&mut few[..channels], &mut few_weighted[..channels]);
                for (index, dy) in dy.chunks_exact(channels).enumerate() {
                    gradient.visit(index * channels, dy, |c, x, g| {
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

fn_per_level! {
    fn input_chunk<'a>(
        gradient: &'a AffineGradient<'a>,
        factors: [&'a [f32]; 3],
        first: usize,
        format: Format,
        dy: &'a mut [f32],
    ) -> () {
        let channels = gradient.channels();
        let factors = factors.map(|factor| &factor[..channels]);
        let (mut stages, mut stage) = (<[Vec<f32>; 2]>::default(), Vec::new());
        let size = staged_rows(channels) * channels;
        let numbers = Numbers::new(format, dy).len();
        for start in (0..numbers).step_by(size) {
            let end = numbers.min(start + size);
            let gradient = gradient.read(first + start..first + end, &mut stages);
            let places = format.places(start)..format.places(end);
            match format {
                Format::Single => gradient.input_of_rows(factors, &mut dy[places]),
                Format::Pairs => {
                    Numbers::Pairs(dy).read_part(start..end, &mut stage);
                    gradient.input_of_rows(factors, &mut stage);
                    round_to_pairs(stage.iter().copied(), &mut dy[places]);
                }
            }
        }
    }
}

fn_per_level! {
    fn input_and_residual_chunk<'a>(
        gradient: &'a AffineGradient<'a>,
        factors: [&'a [f32]; 3],
        first: usize,
        format: Format,
        dy: &'a mut [f32],
        dx: &'a mut [f32],
    ) -> () {
        let channels = gradient.channels();
        let factors = factors.map(|factor| &factor[..channels]);
        let (mut stages, mut stage) = (<[Vec<f32>; 2]>::default(), <[Vec<f32>; 2]>::default());
        let size = staged_rows(channels) * channels;
        let numbers = Numbers::new(format, dy).len();
        for start in (0..numbers).step_by(size) {
            let end = numbers.min(start + size);
            let gradient = gradient.read(first + start..first + end, &mut stages);
            let places = format.places(start)..format.places(end);
            let dx = &mut dx[places.clone()];
            match format {
                Format::Single => {
                    gradient.input_and_residual_of_rows(factors, &mut dy[places], dx);
                }
                Format::Pairs => {
                    let [stage_dy, stage_dx] = &mut stage;
                    Numbers::Pairs(dy).read_part(start..end, stage_dy);
                    stage_dx.resize(stage_dy.len(), 0.0);
                    gradient.input_and_residual_of_rows(factors, stage_dy, stage_dx);
                    round_to_pairs(stage_dy.iter().copied(), &mut dy[places]);
                    round_to_pairs(stage_dx.iter().copied(), dx);
                }
            }
        }
    }
}
