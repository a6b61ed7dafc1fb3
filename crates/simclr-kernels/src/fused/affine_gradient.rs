//! The gradient of `y = act(x scale + shift + residual)`, where scale and shift may depend
//! on the batch.

use rayon::prelude::*;

use super::chunks::{SHORT_SUM, chunk_len, move_into};
use crate::memory::Buffer;
use crate::simd::{SimdLevel, fill_beside, fn_per_level};

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
        let size = chunk_len(channels);
        let partials: Vec<(Vec<f32>, Vec<f32>)> = dy
            .par_chunks(size)
            .enumerate()
            .map(|(chunk, dy)| chunk_sums(level, self, chunk * size, dy))
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
    pub(super) fn input(&self, level: SimdLevel, factors: [&[f32]; 3], dy: &mut [f32]) {
        let size = chunk_len(self.channels());
        dy.par_chunks_mut(size)
            .enumerate()
            .for_each(|(chunk, dy)| input_chunk(level, self, factors, chunk * size, dy));
    }

    /// As `input`, but `dx` is a new buffer, and `dy` becomes `g`, the residual's gradient.
    pub(super) fn input_and_residual(
        &self,
        level: SimdLevel,
        factors: [&[f32]; 3],
        dy: &mut [f32],
    ) -> Buffer {
        let size = chunk_len(self.channels());
        fill_beside(dy, size, |chunk, dy, dx| {
            input_and_residual_chunk(level, self, factors, chunk * size, dy, dx);
        })
    }

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
        offset: usize,
        dy: &'a [f32],
    ) -> (Vec<f32>, Vec<f32>) {
        let channels = gradient.channels();
        let (mut plain, mut weighted) = (vec![0.0; channels], vec![0.0; channels]);
        let (mut few, mut few_weighted) = (vec![0.0; channels], vec![0.0; channels]);
        let centre = &gradient.centre[..channels];
        for (group, dy) in dy.chunks(SHORT_SUM * channels).enumerate() {
            let first = offset + group * SHORT_SUM * channels;
            {
                let (few, few_weighted) = (&mut few[..channels], &mut few_weighted[..channels]);
                for (index, dy) in dy.chunks_exact(channels).enumerate() {
                    gradient.visit(first + index * channels, dy, |c, x, g| {
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
        offset: usize,
        dy: &'a mut [f32],
    ) -> () {
        let channels = gradient.channels();
        let [a, b, c] = factors.map(|factor| &factor[..channels]);
        let centre = &gradient.centre[..channels];
        for (index, dy) in dy.chunks_exact_mut(channels).enumerate() {
            let at = offset + index * channels;
            gradient.through(at, dy, |i, x, g| a[i] * g + b[i] * (x - centre[i]) + c[i]);
        }
    }
}

fn_per_level! {
    fn input_and_residual_chunk<'a>(
        gradient: &'a AffineGradient<'a>,
        factors: [&'a [f32]; 3],
        offset: usize,
        dy: &'a mut [f32],
        dx: &'a mut [f32],
    ) -> () {
        let channels = gradient.channels();
        let [a, b, c] = factors.map(|factor| &factor[..channels]);
        let centre = &gradient.centre[..channels];
        let rows = dy.chunks_exact_mut(channels).zip(dx.chunks_exact_mut(channels));
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
