use std::sync::Arc;

use crate::dataset::{Dataset, IntoDataset, count_labels, labels_one_by_one};
use crate::error::{Error, Result};
use crate::located::forward_images;

/// Some images of a set, by their indices there.
#[derive(Debug, Clone)]
pub struct Subset {
    dataset: Arc<dyn Dataset>,
    indices: Arc<[usize]>,
}

impl Subset {
    /// The images of `dataset` at `indices`, in that order.
    ///
    /// # Errors
    /// If an index is past the end.
    pub fn new(dataset: impl IntoDataset, indices: impl Into<Arc<[usize]>>) -> Result<Self> {
        let (dataset, indices) = (dataset.into_dataset(), indices.into());
        let len = dataset.len();
        match indices.iter().find(|&&index| index >= len) {
            Some(&index) => Err(Error::Index { index, len }),
            None => Ok(Self { dataset, indices }),
        }
    }

    /// The indices in the parent set.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// The set that this is a part of.
    pub fn parent(&self) -> &Arc<dyn Dataset> {
        &self.dataset
    }

    /// The parent set and an image's index there.
    fn locate(&self, index: usize) -> Option<(&dyn Dataset, usize)> {
        Some((self.dataset.as_ref(), *self.indices.get(index)?))
    }
}

impl Dataset for Subset {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn class_names(&self) -> &[String] {
        self.dataset.class_names()
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.dataset.label(*self.indices.get(index)?)
    }

    forward_images!();

    fn labels(&self, operation: &'static str) -> Result<Vec<u32>> {
        // The parent may know all labels at once. If it fails, that may be for the sake of
        // images that are not in this subset.
        let of_parent = self.dataset.labels(operation).unwrap_or_default();
        let own = self.indices.iter().map(|&i| of_parent.get(i).copied());
        match own.collect() {
            Some(labels) => Ok(labels),
            None => labels_one_by_one(self, operation),
        }
    }

    fn class_counts(&self) -> Vec<usize> {
        let classes = self.class_names().len();
        match self.labels("class counts") {
            Ok(labels) => count_labels(classes, labels),
            Err(_) => count_labels(classes, (0..self.len()).filter_map(|i| self.label(i))),
        }
    }
}
