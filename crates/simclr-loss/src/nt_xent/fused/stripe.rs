//! A stripe of the upper triangle: its similarities, their exponentials, and the sums of both.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::super::similarity::ENTROPY_OFFSET;
use super::product::{ALIGNMENT, Left, Product};
use super::views::Views;
use crate::vector;

/// Rows per stripe.
pub(super) const STRIPE: usize = 3 * ALIGNMENT;
/// Columns that are processed while they are in cache.
const TILE: usize = 512;

/// The maximum and the sum of exponentials below it, per view, from some of the stripes.
pub(super) struct PartialSums {
    pub(super) shift: Vec<f32>,
    pub(super) sum: Vec<f32>,
    /// Per image the similarity of its two views.
    pub(super) positive: Vec<f32>,
    /// Images whose second view is the most similar to the first.
    pub(super) hits: usize,
    pub(super) entropy: f64,
}

impl PartialSums {
    pub(super) fn new(views: &Views) -> Self {
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
pub(super) fn join(shift: &mut f32, sum: &mut f32, other_shift: f32, other_sum: f32) {
    let highest = if other_shift > *shift {
        other_shift
    } else {
        *shift
    };
    *sum = *sum * vector::exp(*shift - highest) + other_sum * vector::exp(other_shift - highest);
    *shift = highest;
}

/// Rows `start..end` of the matrix, from their own columns on.
#[derive(Clone, Copy)]
pub(super) struct Stripe<'a> {
    views: &'a Views,
    start: usize,
    end: usize,
    stride: usize,
}

impl<'a> Stripe<'a> {
    pub(super) fn new(views: &'a Views, index: usize) -> Self {
        let start = index * STRIPE;
        let columns = (views.count - start).next_multiple_of(views.panel_width);
        Self {
            views,
            start,
            end: views.count.min(start + STRIPE),
            // Rows a power of two apart would fall on the same places of the cache.
            stride: columns + 16,
        }
    }

    pub(super) fn add_to(self, sums: &mut PartialSums, buffer: &mut Vec<f32>) {
        let Self { views, start, .. } = self;
        buffer.resize(buffer.len().max((self.end - start) * self.stride), 0.0);
        let mut contrasts = [Contrast::default(); STRIPE];
        for column in (start..views.count).step_by(TILE) {
            let columns = column..views.count.min(column + TILE);
            self.multiply(buffer, columns.start, columns.end);
            if let Some(shift) = views.bound {
                views.arch.dispatch(Exponentials {
                    stripe: self,
                    buffer,
                    columns,
                    shift,
                    sums,
                    contrasts: &mut contrasts,
                });
            } else {
                views.arch.dispatch(Scale {
                    stripe: self,
                    buffer,
                    columns,
                });
            }
        }
        if views.bound.is_some() {
            views.arch.dispatch(ContrastMetrics {
                stripe: self,
                buffer,
                sums,
                contrasts: &contrasts,
            });
        } else {
            views.arch.dispatch(Reduce {
                stripe: self,
                buffer,
                sums,
            });
        }
    }

    fn multiply(self, buffer: &mut [f32], column: usize, end: usize) {
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

    /// The indices of the views of the rows, and the rows.
    #[inline(always)]
    fn rows(self, buffer: &mut [f32]) -> impl Iterator<Item = (usize, &mut [f32])> {
        (self.start..self.end).zip(buffer.chunks_exact_mut(self.stride))
    }

    /// Adds the stripe to the sums of the columns right of its own rows, each
    /// shifted by its maximum.
    #[inline(always)]
    fn columns_by_maximum(self, buffer: &[f32], sums: &mut PartialSums) {
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
        let whole = sums.shift[self.end..]
            .iter_mut()
            .zip(&mut sums.sum[self.end..]);
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

    /// Adds accuracy and entropy of a view with these exponentials to the sums.
    #[inline(always)]
    fn add_to(&self, exponentials: &[f32], sums: &mut PartialSums) {
        // Of equal ones the first is taken.
        sums.hits += usize::from(self.own > self.before && self.own >= self.after);
        let entropy = vector::entropy(exponentials, 1.0 / self.sum, ENTROPY_OFFSET as f32);
        sums.entropy += f64::from(entropy);
    }
}

// Types instead of closures: only a function that is marked `inline(always)` is sure to be
// compiled into its caller, and with it for the vector instructions of the machine.

/// Divides a tile by the temperature.
struct Scale<'a> {
    stripe: Stripe<'a>,
    buffer: &'a mut [f32],
    columns: Range<usize>,
}

impl WithSimd for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let start = self.stripe.start;
        let columns = self.columns.start - start..self.columns.end - start;
        for (_, row) in self.stripe.rows(self.buffer) {
            for value in &mut row[columns.clone()] {
                *value *= self.stripe.views.inverse_temperature;
            }
        }
    }
}

/// One tile, while it is in the cache and if all shifts are the same: exponentials,
/// their sums by row and by column, and what [`ContrastMetrics`] needs of each row.
struct Exponentials<'a> {
    stripe: Stripe<'a>,
    buffer: &'a mut [f32],
    columns: Range<usize>,
    shift: f32,
    sums: &'a mut PartialSums,
    contrasts: &'a mut [Contrast],
}

impl WithSimd for Exponentials<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self {
            stripe,
            columns,
            shift,
            sums,
            ..
        } = self;
        let images = stripe.views.images();
        let scale = stripe.views.inverse_temperature;
        let same = images.clamp(columns.start, columns.end);
        let right = columns.start.max(stripe.end)..columns.end;
        for ((i, row), contrast) in stripe.rows(self.buffer).zip(self.contrasts) {
            let row = &mut row[columns.start - stripe.start..columns.end - stripe.start];
            if columns.contains(&i) {
                row[i - columns.start] = f32::MIN;
            }
            for masked in stripe.views.masked(i, &columns) {
                row[masked - columns.start] = f32::MIN;
            }
            let partner = i + images;
            if i < images && columns.contains(&partner) {
                sums.positive[i] = row[partner - columns.start] * scale;
            }
            let (first, second) = row.split_at_mut(same - columns.start);
            let sum = vector::exp_sum(second, scale, shift);
            sums.sum[i] += vector::exp_sum(first, scale, shift) + sum;
            if i < images && !second.is_empty() {
                contrast.add(second, sum, partner as isize - same as isize);
            }
            if !right.is_empty() {
                let values = &row[right.start - columns.start..];
                for (sum, &value) in sums.sum[right.clone()].iter_mut().zip(values) {
                    *sum += value;
                }
            }
        }
    }
}

/// Whether images are found among all second views, and how sure that is.
struct ContrastMetrics<'a> {
    stripe: Stripe<'a>,
    buffer: &'a mut [f32],
    sums: &'a mut PartialSums,
    contrasts: &'a [Contrast],
}

impl WithSimd for ContrastMetrics<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Stripe { views, start, .. } = self.stripe;
        let images = views.images();
        for ((i, row), contrast) in self.stripe.rows(self.buffer).zip(self.contrasts) {
            if i < images {
                contrast.add_to(&row[images - start..views.count - start], self.sums);
            }
        }
    }
}

/// A whole stripe whose rows and columns are shifted by their maxima.
struct Reduce<'a> {
    stripe: Stripe<'a>,
    buffer: &'a mut [f32],
    sums: &'a mut PartialSums,
}

impl WithSimd for Reduce<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self {
            stripe,
            buffer,
            sums,
        } = self;
        let Stripe { views, start, .. } = stripe;
        let images = views.images();
        for (i, row) in stripe.rows(buffer) {
            row[i - start] = f32::MIN;
            for masked in views.masked(i, &(start..views.count)) {
                row[masked - start] = f32::MIN;
            }
            if i < images {
                sums.positive[i] = row[i + images - start];
            }
        }
        stripe.columns_by_maximum(buffer, sums);
        for (i, row) in stripe.rows(buffer) {
            let row = &mut row[..views.count - start];
            let same = images.saturating_sub(start).min(row.len());
            let (first, second) = row.split_at_mut(same);
            for segment in [first, second] {
                if !segment.is_empty() {
                    let shift = vector::max(segment);
                    let sum = vector::exp_sum(segment, 1.0, shift);
                    join(&mut sums.shift[i], &mut sums.sum[i], shift, sum);
                }
            }
            if i < images {
                let exponentials = &row[same..];
                let mut contrast = Contrast::default();
                contrast.add(exponentials, vector::sum(exponentials), i as isize);
                contrast.add_to(exponentials, sums);
            }
        }
    }
}
