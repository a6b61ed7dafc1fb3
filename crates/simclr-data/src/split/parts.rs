//! The parts of a split.

use serde::{Deserialize, Serialize};

use crate::dataset::IntoDataset;
use crate::error::Result;
use crate::subset::Subset;

/// Training, validation and test part of a data set.
///
/// `T` is either the indices (`Vec<usize>`) or the images ([`Subset`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split<T> {
    /// For training.
    pub train: T,
    /// For choosing epochs and settings.
    pub validation: T,
    /// For the reported result.
    pub test: T,
}

impl<T> Split<T> {
    /// Converts each part.
    ///
    /// # Errors
    /// Those of `part`.
    pub fn try_map<U, E>(self, mut part: impl FnMut(T) -> Result<U, E>) -> Result<Split<U>, E> {
        Ok(Split {
            train: part(self.train)?,
            validation: part(self.validation)?,
            test: part(self.test)?,
        })
    }
}

impl Split<Vec<usize>> {
    /// The images at these indices.
    ///
    /// # Errors
    /// If an index is past the end.
    pub fn of(self, dataset: impl IntoDataset) -> Result<Split<Subset>> {
        let dataset = dataset.into_dataset();
        self.try_map(|indices| Subset::new(dataset.clone(), indices))
    }

    /// The same indices in increasing order.
    pub(super) fn sorted(mut self) -> Self {
        for indices in [&mut self.train, &mut self.validation, &mut self.test] {
            indices.sort_unstable();
        }
        self
    }
}
