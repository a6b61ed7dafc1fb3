//! The forward pass: the upper triangle in stripes of rows.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::stripe::{PartialSums, STRIPE, Stripe, join};
use super::views::Views;

/// Stripes are dealt to this many tasks at most, each with sums of its own.
const TASKS: usize = 64;
/// Views whose sums are combined at a time.
const COMBINED: usize = 512;

/// What remains of the softmax over each view's row of similarities.
pub(super) struct Softmax {
    /// Per view the shift `m_i`.
    pub(super) shift: Vec<f32>,
    /// Per view the sum of `exp(s_ij - m_i)` over the other views.
    pub(super) sum: Vec<f32>,
    /// Per image the similarity of its two views.
    pub(super) positive: Vec<f32>,
}

/// The softmax of all rows; loss, accuracy and entropy.
pub(super) fn forward(views: &Views) -> (Softmax, [f64; 3]) {
    let stripes = views.count.div_ceil(STRIPE);
    let tasks = stripes.min(TASKS);
    let partial: Vec<PartialSums> = (0..tasks)
        .into_par_iter()
        .map_init(Vec::new, |buffer, task| {
            let mut sums = PartialSums::new(views);
            for stripe in (task..stripes).step_by(tasks) {
                Stripe::new(views, stripe).add_to(&mut sums, buffer);
            }
            sums
        })
        .collect();
    combine(views, &partial)
}

fn combine(views: &Views, partial: &[PartialSums]) -> (Softmax, [f64; 3]) {
    let mut whole = PartialSums::new(views);
    let sums = whole.sum.par_chunks_mut(COMBINED);
    let shifts = whole.shift.par_chunks_mut(COMBINED);
    sums.zip(shifts)
        .enumerate()
        .for_each(|(chunk, (sum, shift))| {
            views.arch.dispatch(Combine {
                start: chunk * COMBINED,
                partial,
                sum,
                shift,
                same_shift: views.bound.is_some(),
            });
        });
    for sums in partial {
        for (whole, positive) in whole.positive.iter_mut().zip(&sums.positive) {
            *whole += positive;
        }
        whole.hits += sums.hits;
        whole.entropy += sums.entropy;
    }
    let images = views.images();
    let losses = (0..views.count).map(|i| {
        let positive = whole.positive[i % images];
        f64::from(whole.sum[i]).ln() + f64::from(whole.shift[i] - positive)
    });
    let metrics = [losses.sum::<f64>(), whole.hits as f64, whole.entropy];
    let softmax = Softmax {
        shift: whole.shift,
        sum: whole.sum,
        positive: whole.positive,
    };
    (softmax, metrics.map(|metric| metric / images as f64))
}

/// Joins all partial sums of some views, from `start` on.
struct Combine<'a> {
    start: usize,
    partial: &'a [PartialSums],
    sum: &'a mut [f32],
    shift: &'a mut [f32],
    same_shift: bool,
}

impl WithSimd for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let range = self.start..self.start + self.sum.len();
        for partial in self.partial {
            let sums = self.sum.iter_mut().zip(&partial.sum[range.clone()]);
            if self.same_shift {
                for (sum, &other) in sums {
                    *sum += other;
                }
            } else {
                let shifts = self.shift.iter_mut().zip(&partial.shift[range.clone()]);
                for ((sum, &other), (shift, &other_shift)) in sums.zip(shifts) {
                    join(shift, sum, other_shift, other);
                }
            }
        }
    }
}
