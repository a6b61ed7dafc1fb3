//! The forward pass: the upper triangle in stripes of rows.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::super::composite::ENTROPY_OFFSET;
use super::product::{ALIGNMENT, Left, Product};
use super::{Softmax, Views};
use crate::vector;

/// Rows per stripe.
const STRIPE: usize = 3 * ALIGNMENT;
/// Stripes are dealt to this many tasks at most, each with sums of its own.
const TASKS: usize = 64;
/// Columns that are processed while they are in cache.
const TILE: usize = 512;

/// What the loss says about a batch.
pub(super) struct Figures {
    pub(super) loss: f64,
    pub(super) accuracy: f64,
    pub(super) entropy: f64,
}

pub(super) fn forward(views: &Views) -> (Softmax, Figures) {
    let stripes = views.count.div_ceil(STRIPE);
    let tasks = stripes.min(TASKS);
    let parts: Vec<Part> = (0..tasks)
        .into_par_iter()
        .map_init(Vec::new, |buffer, task| {
            let mut part = Part::new(views);
            for stripe in (task..stripes).step_by(tasks) {
                let end = views.count.min((stripe + 1) * STRIPE);
                Stripe::new(views, stripe * STRIPE, end).add_to(&mut part, buffer);
            }
            part
        })
        .collect();
    combine(views, &parts)
}

/// The maximum and the sum of exponentials below it, per view, from some of the stripes.
struct Part {
    shift: Vec<f32>,
    sum: Vec<f32>,
    positive: Vec<f32>,
    hits: usize,
    entropy: f64,
}

impl Part {
    fn new(views: &Views) -> Self {
        Self {
            shift: vec![views.bound.unwrap_or(f32::MIN); views.count],
            sum: vec![0.0; views.count],
            positive: vec![0.0; views.images()],
            hits: 0,
            entropy: 0.0,
        }
    }
}

/// Joins two shifted sums of exponentials in the first.
#[inline(always)]
fn join(shift: &mut f32, sum: &mut f32, other_shift: f32, other_sum: f32) {
    let highest = if other_shift > *shift {
        other_shift
    } else {
        *shift
    };
    *sum = *sum * vector::exp(*shift - highest) + other_sum * vector::exp(other_shift - highest);
    *shift = highest;
}

/// Views whose sums are combined at a time.
const COMBINED: usize = 512;

fn combine(views: &Views, parts: &[Part]) -> (Softmax, Figures) {
    let mut whole = Part::new(views);
    let sums = whole.sum.par_chunks_mut(COMBINED);
    let shifts = whole.shift.par_chunks_mut(COMBINED);
    sums.zip(shifts)
        .enumerate()
        .for_each(|(chunk, (sum, shift))| {
            views.arch.dispatch(Combine {
                start: chunk * COMBINED,
                parts,
                sum,
                shift,
                same_shift: views.bound.is_some(),
            });
        });
    for part in parts {
        for (whole, positive) in whole.positive.iter_mut().zip(&part.positive) {
            *whole += positive;
        }
        whole.hits += part.hits;
        whole.entropy += part.entropy;
    }
    let images = views.images();
    let losses = (0..views.count).map(|i| {
        let positive = whole.positive[i % images];
        f64::from(whole.sum[i]).ln() + f64::from(whole.shift[i] - positive)
    });
    let figures = Figures {
        loss: losses.sum::<f64>() / images as f64,
        accuracy: whole.hits as f64 / images as f64,
        entropy: whole.entropy / images as f64,
    };
    let softmax = Softmax {
        shift: whole.shift,
        sum: whole.sum,
        positive: whole.positive,
    };
    (softmax, figures)
}

/// Rows `start..end` of the matrix, from their own columns on.
struct Stripe<'a> {
    views: &'a Views,
    start: usize,
    end: usize,
    stride: usize,
}

impl<'a> Stripe<'a> {
    fn new(views: &'a Views, start: usize, end: usize) -> Self {
        let columns = (views.count - start).next_multiple_of(views.panel_width);
        // Rows a power of two apart would fall on the same places of the cache.
        let stride = columns + 16;
        Self {
            views,
            start,
            end,
            stride,
        }
    }

    fn add_to(&self, part: &mut Part, buffer: &mut Vec<f32>) {
        buffer.resize(buffer.len().max((self.end - self.start) * self.stride), 0.0);
        let mut contrasts = [Contrast::default(); STRIPE];
        for column in (self.start..self.views.count).step_by(TILE) {
            let columns = column..self.views.count.min(column + TILE);
            self.multiply(buffer, columns.start, columns.end);
            if let Some(shift) = self.views.bound {
                self.views.arch.dispatch(Exponentials {
                    stripe: self,
                    buffer,
                    columns,
                    shift,
                    part,
                    contrasts: &mut contrasts,
                });
            } else {
                self.views.arch.dispatch(Scale {
                    stripe: self,
                    buffer,
                    columns,
                });
            }
        }
        if self.views.bound.is_some() {
            self.views.arch.dispatch(Contrasts {
                stripe: self,
                buffer,
                part,
                contrasts: &contrasts,
            });
        } else {
            self.views.arch.dispatch(Reduce {
                stripe: self,
                buffer,
                part,
            });
        }
    }

    fn multiply(&self, buffer: &mut [f32], column: usize, end: usize) {
        let views = self.views;
        views.arch.dispatch(Product {
            rows: self.end - self.start,
            depth: views.width,
            left: Left::Rows {
                values: &views.values[self.start * views.width..],
                stride: views.width,
            },
            panels: views.panels(column, end),
            out: &mut buffer[column - self.start..],
            out_stride: self.stride,
            accumulate: false,
        });
    }

    #[inline(always)]
    fn scale(&self, buffer: &mut [f32], columns: Range<usize>) {
        let columns = columns.start - self.start..columns.end - self.start;
        for row in buffer
            .chunks_exact_mut(self.stride)
            .take(self.end - self.start)
        {
            for value in &mut row[columns.clone()] {
                *value *= self.views.inverse_temperature;
            }
        }
    }

    /// One tile, while it is in the cache and if all shifts are the same: exponentials,
    /// their sums by row and by column, and what [`Self::contrasts`] needs of each row.
    #[inline(always)]
    fn exponentials(
        &self,
        buffer: &mut [f32],
        columns: Range<usize>,
        shift: f32,
        part: &mut Part,
        contrasts: &mut [Contrast],
    ) {
        let images = self.views.images();
        let same = images.clamp(columns.start, columns.end);
        let right = columns.start.max(self.end)..columns.end;
        let rows = buffer.chunks_exact_mut(self.stride).zip(contrasts);
        for (i, (row, contrast)) in (self.start..self.end).zip(rows) {
            let row = &mut row[columns.start - self.start..columns.end - self.start];
            if columns.contains(&i) {
                row[i - columns.start] = f32::MIN;
            }
            let partner = i + images;
            if i < images && columns.contains(&partner) {
                let similarity = row[partner - columns.start] * self.views.inverse_temperature;
                part.positive[i] = similarity;
            }
            let (first, second) = row.split_at_mut(same - columns.start);
            let scale = self.views.inverse_temperature;
            let sum = vector::exp_sum(second, scale, shift);
            part.sum[i] += vector::exp_sum(first, scale, shift) + sum;
            if i < images && !second.is_empty() {
                contrast.add(second, sum, partner as isize - same as isize);
            }
            if !right.is_empty() {
                let values = &row[right.start - columns.start..];
                for (sum, &value) in part.sum[right.clone()].iter_mut().zip(values) {
                    *sum += value;
                }
            }
        }
    }

    /// Whether images are found among all second views, and how sure that is.
    #[inline(always)]
    fn contrasts(&self, buffer: &[f32], part: &mut Part, contrasts: &[Contrast]) {
        let images = self.views.images();
        let rows = buffer.chunks_exact(self.stride).zip(contrasts);
        for (_, (row, contrast)) in (self.start..self.end.min(images)).zip(rows) {
            let second = &row[images - self.start..self.views.count - self.start];
            part.hits += usize::from(contrast.is_hit());
            let weight = 1.0 / contrast.sum;
            part.entropy += f64::from(vector::entropy(second, weight, ENTROPY_OFFSET as f32));
        }
    }

    #[inline(always)]
    fn reduce(&self, buffer: &mut [f32], part: &mut Part) {
        let views = self.views;
        let images = views.images();
        for (i, row) in (self.start..self.end).zip(buffer.chunks_exact_mut(self.stride)) {
            row[i - self.start] = f32::MIN;
            if i < images {
                part.positive[i] = row[i + images - self.start];
            }
        }
        self.columns_by_maximum(buffer, part);
        for (i, row) in (self.start..self.end).zip(buffer.chunks_exact_mut(self.stride)) {
            let row = &mut row[..views.count - self.start];
            let same = images.saturating_sub(self.start).min(row.len());
            let (first, second) = row.split_at_mut(same);
            for segment in [first, second] {
                self.row_segment(i, segment, part);
            }
            if i < images {
                let own = &row[same..];
                self.contrast(i, own, part);
            }
        }
    }

    /// Takes the exponentials of a part of a row and adds them to its sum.
    #[inline(always)]
    fn row_segment(&self, i: usize, segment: &mut [f32], part: &mut Part) {
        if segment.is_empty() {
            return;
        }
        let shift = vector::max(segment);
        let sum = vector::exp_sum(segment, 1.0, shift);
        join(&mut part.shift[i], &mut part.sum[i], shift, sum);
    }

    /// Whether the image is found among all second views, and how sure that is.
    #[inline(always)]
    fn contrast(&self, i: usize, exponentials: &[f32], part: &mut Part) {
        let own = exponentials[i];
        let before = vector::max(&exponentials[..i]);
        let after = vector::max(&exponentials[i + 1..]);
        part.hits += usize::from(own > before && own >= after);
        let weight = 1.0 / vector::sum(exponentials);
        part.entropy += f64::from(vector::entropy(exponentials, weight, ENTROPY_OFFSET as f32));
    }

    /// Adds the stripe to the sums of the columns right of its own rows, each
    /// shifted by its maximum.
    #[inline(always)]
    fn columns_by_maximum(&self, buffer: &[f32], part: &mut Part) {
        let below = self.end - self.start;
        let columns = self.views.count - self.end;
        let mut shift = vec![f32::MIN; columns];
        let mut sum = vec![0.0f32; columns];
        let rows = || buffer.chunks_exact(self.stride).take(below);
        for row in rows() {
            for (shift, &value) in shift.iter_mut().zip(&row[below..]) {
                *shift = if value > *shift { value } else { *shift };
            }
        }
        for row in rows() {
            for ((sum, &shift), &value) in sum.iter_mut().zip(&shift).zip(&row[below..]) {
                *sum += vector::exp(value - shift);
            }
        }
        let whole = part.shift[self.end..]
            .iter_mut()
            .zip(&mut part.sum[self.end..]);
        for ((whole_shift, whole_sum), (shift, sum)) in whole.zip(shift.into_iter().zip(sum)) {
            join(whole_shift, whole_sum, shift, sum);
        }
    }
}

/// What is known of the exponentials of a first view with all second views.
#[derive(Clone, Copy)]
struct Contrast {
    sum: f32,
    /// That of the image's own second view.
    own: f32,
    /// The largest of those before it and of those after it.
    before: f32,
    after: f32,
}

impl Default for Contrast {
    fn default() -> Self {
        Self {
            sum: 0.0,
            own: 0.0,
            before: f32::MIN,
            after: f32::MIN,
        }
    }
}

impl Contrast {
    /// Adds some neighbours, whose sum is known; the own one is at `own`, which may be
    /// outside.
    #[inline(always)]
    fn add(&mut self, exponentials: &[f32], sum: f32, own: isize) {
        self.sum += sum;
        let count = exponentials.len();
        let before = own.clamp(0, count as isize) as usize;
        let after = (own + 1).clamp(0, count as isize) as usize;
        if before < after {
            self.own = exponentials[before];
        }
        self.before = self.before.max(vector::max(&exponentials[..before]));
        self.after = self.after.max(vector::max(&exponentials[after..]));
    }

    /// Of equal ones the first is taken.
    fn is_hit(&self) -> bool {
        self.own > self.before && self.own >= self.after
    }
}

// Types instead of closures: only a function that is marked so is sure to be compiled
// into its caller, and with it for the vector instructions of the machine.

/// [`Stripe::scale`] with the vector instructions of the machine.
struct Scale<'a> {
    stripe: &'a Stripe<'a>,
    buffer: &'a mut [f32],
    columns: Range<usize>,
}

impl WithSimd for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.stripe.scale(self.buffer, self.columns);
    }
}

/// [`Stripe::reduce`] with the vector instructions of the machine.
struct Reduce<'a> {
    stripe: &'a Stripe<'a>,
    buffer: &'a mut [f32],
    part: &'a mut Part,
}

impl WithSimd for Reduce<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.stripe.reduce(self.buffer, self.part);
    }
}

/// [`Stripe::exponentials`] with the vector instructions of the machine.
struct Exponentials<'a> {
    stripe: &'a Stripe<'a>,
    buffer: &'a mut [f32],
    columns: Range<usize>,
    shift: f32,
    part: &'a mut Part,
    contrasts: &'a mut [Contrast],
}

impl WithSimd for Exponentials<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.stripe.exponentials(
            self.buffer,
            self.columns,
            self.shift,
            self.part,
            self.contrasts,
        );
    }
}

/// [`Stripe::contrasts`] with the vector instructions of the machine.
struct Contrasts<'a> {
    stripe: &'a Stripe<'a>,
    buffer: &'a [f32],
    part: &'a mut Part,
    contrasts: &'a [Contrast],
}

impl WithSimd for Contrasts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.stripe
            .contrasts(self.buffer, self.part, self.contrasts);
    }
}

/// Joins the sums of all parts for some views, from `start` on.
struct Combine<'a> {
    start: usize,
    parts: &'a [Part],
    sum: &'a mut [f32],
    shift: &'a mut [f32],
    same_shift: bool,
}

impl WithSimd for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self {
            start, sum, shift, ..
        } = self;
        let end = start + sum.len();
        for part in self.parts {
            let sums = sum.iter_mut().zip(&part.sum[start..end]);
            if self.same_shift {
                for (sum, &other) in sums {
                    *sum += other;
                }
            } else {
                let shifts = shift.iter_mut().zip(&part.shift[start..end]);
                for ((sum, &other), (shift, &other_shift)) in sums.zip(shifts) {
                    join(shift, sum, other_shift, other);
                }
            }
        }
    }
}
