//! Which views are no negatives of each other.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// Pairs of views of a batch that are no negatives of each other, such as views of images that
/// are known to show the same.
///
/// Pairs count in both directions. The two views of an image stay a positive pair, whatever the
/// mask says. Memory grows with the number of pairs; clones share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NegativeMask {
    /// Where each view's others begin, and where the last one's end.
    starts: Arc<[usize]>,
    /// The others of each view, ascending.
    others: Arc<[u32]>,
}

impl NegativeMask {
    /// The mask for `images` images: views `0..images` are the first ones, and
    /// `images..2 * images` the second ones in the same order.
    ///
    /// # Errors
    /// [`Error::Setting`] for a view past the last.
    pub fn new(images: usize, pairs: impl IntoIterator<Item = (usize, usize)>) -> Result<Self> {
        let views = 2 * images;
        let mut directed = Vec::new();
        for (a, b) in pairs {
            if a.max(b) >= views || u32::try_from(views).is_err() {
                return Err(Error::Setting {
                    name: "mask of negatives",
                    expected: "pairs of the batch's views",
                    found: format!("({a}, {b}) of {views} views"),
                });
            }
            if a % images != b % images {
                directed.extend([(a as u32, b as u32), (b as u32, a as u32)]);
            }
        }
        directed.sort_unstable();
        directed.dedup();
        let start = |view| directed.partition_point(|&(of, _)| (of as usize) < view);
        Ok(Self {
            starts: (0..=views).map(start).collect(),
            others: directed.iter().map(|&(_, other)| other).collect(),
        })
    }

    /// The number of views.
    pub fn views(&self) -> usize {
        self.starts.len() - 1
    }

    /// The number of pairs, each counted once.
    pub fn pairs(&self) -> usize {
        self.others.len() / 2
    }

    /// The views among `range` that are no negatives of `view`.
    pub(super) fn within(
        &self,
        view: usize,
        range: &Range<usize>,
    ) -> impl Iterator<Item = usize> + use<'_> {
        let others = &self.others[self.starts[view]..self.starts[view + 1]];
        let place = |view: usize| others.partition_point(|&other| (other as usize) < view);
        let others = &others[place(range.start)..place(range.end)];
        others.iter().map(|&other| other as usize)
    }

    /// `[rows, views]`: `value` where the column's view is no negative of the row's, and 0
    /// elsewhere.
    pub(super) fn to_tensor(
        &self,
        rows: Range<usize>,
        value: f64,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let views = self.views();
        let mut values = vec![0.0; rows.len() * views];
        for (row, view) in values.chunks_exact_mut(views.max(1)).zip(rows.clone()) {
            self.within(view, &(0..views))
                .for_each(|other| row[other] = value);
        }
        let tensor = Tensor::from_vec(values, (rows.len(), views), &Device::Cpu)?;
        Ok(tensor.to_dtype(dtype)?.to_device(device)?)
    }
}
