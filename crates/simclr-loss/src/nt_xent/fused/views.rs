//! The embeddings in the layouts of the matrix products.

use std::ops::Range;

use rayon::prelude::*;

use super::super::mask::NegativeMask;
use super::super::similarity::{SQUARED_LENGTH_FLOOR, Similarity};
use super::product::{pack, pack_transposed, panel_width};
use crate::vector;

/// The fewest views that are worth a task of their own where little is done with each.
const MIN_VIEWS: usize = 128;
/// The range of arguments that `exp` maps to normal numbers, with some room.
const EXP_RANGE: f64 = 80.0;

/// The views, of unit length if so configured, in the layouts of the matrix products.
pub(super) struct Views {
    pub(super) arch: pulp::Arch,
    /// The number of views.
    pub(super) count: usize,
    /// The numbers per view.
    pub(super) width: usize,
    pub(super) inverse_temperature: f32,
    /// `[view][width]`.
    pub(super) values: Vec<f32>,
    /// Per view `1 / length`, and whether the length is above its floor; empty if
    /// the views are not normalised.
    pub(super) inverse_lengths: Vec<(f32, bool)>,
    /// The transpose in panels of views.
    by_view: Vec<f32>,
    pub(super) panel_width: usize,
    /// The largest similarity that can occur, if it is small enough to shift every
    /// row by it: with `s >= -bound` nothing underflows.
    pub(super) bound: Option<f32>,
    mask: Option<NegativeMask>,
}

impl Views {
    pub(super) fn new(
        similarity: Similarity,
        embeddings: &[f32],
        (count, width): (usize, usize),
        mask: Option<NegativeMask>,
    ) -> Self {
        let arch = pulp::Arch::new();
        let panel_width = panel_width(arch);
        let mut values = embeddings.to_vec();
        let mut inverse_lengths = Vec::new();
        if similarity.normalize {
            inverse_lengths = values
                .par_chunks_exact_mut(width)
                .with_min_len(MIN_VIEWS)
                .map(|view| {
                    let squared = vector::squared_length(view);
                    let floor = SQUARED_LENGTH_FLOOR as f32;
                    let inverse = 1.0 / squared.max(floor).sqrt();
                    view.iter_mut().for_each(|value| *value *= inverse);
                    (inverse, squared > floor)
                })
                .collect();
        }
        let bound = 1.0 / similarity.temperature;
        Self {
            arch,
            count,
            width,
            inverse_temperature: bound as f32,
            by_view: pack_transposed(&values, width, panel_width),
            values,
            inverse_lengths,
            panel_width,
            bound: (similarity.normalize && 2.0 * bound <= EXP_RANGE).then_some(bound as f32),
            mask,
        }
    }

    pub(super) fn images(&self) -> usize {
        self.count / 2
    }

    /// The other view of the same image.
    pub(super) fn partner(&self, view: usize) -> usize {
        (view + self.images()) % self.count
    }

    /// The views among `range` that are no negatives of `view`.
    pub(super) fn masked(
        &self,
        view: usize,
        range: &Range<usize>,
    ) -> impl Iterator<Item = usize> + use<'_> {
        let mask = self.mask.iter();
        let range = range.clone();
        mask.flat_map(move |mask| mask.within(view, &range))
    }

    /// The views from `start` to `end`, multiples of the alignment or the end, in panels
    /// of numbers: `[panel][view][panel_width]`.
    pub(super) fn by_number(&self, start: usize, end: usize) -> Vec<f32> {
        let values = &self.values[start * self.width..end * self.width];
        pack(values, self.width, self.panel_width)
    }

    /// The panels of the views from `start`, a multiple of the alignment, to `end`.
    pub(super) fn panels(&self, start: usize, end: usize) -> &[f32] {
        let size = self.width * self.panel_width;
        let first = start / self.panel_width;
        &self.by_view[first * size..end.div_ceil(self.panel_width) * size]
    }
}
