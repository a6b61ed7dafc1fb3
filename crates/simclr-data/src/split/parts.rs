use serde::{Deserialize, Serialize};

use crate::dataset::IntoDataset;
use crate::error::{Result, check};
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

    /// The training, validation and test part, each in increasing order.
    pub(super) fn of_parts(parts: Vec<Vec<usize>>) -> Self {
        let mut parts = parts.into_iter();
        let mut next = || {
            let mut indices = parts.next().unwrap_or_default();
            indices.sort_unstable();
            indices
        };
        Self {
            train: next(),
            validation: next(),
            test: next(),
        }
    }
}

/// What a part is called, and how much of each class it should have.
pub(super) struct Part {
    pub(super) name: &'static str,
    /// What was asked for, before the fraction in a message.
    pub(super) request: &'static str,
    pub(super) fraction: f64,
    /// Whether every class must be in it.
    pub(super) needed: bool,
}

impl Part {
    pub(super) fn needed(name: &'static str, request: &'static str, fraction: f64) -> Self {
        Self {
            name,
            request,
            fraction,
            needed: true,
        }
    }

    /// What is left over for testing, which may be nothing.
    pub(super) fn rest(fraction: f64) -> Self {
        Self {
            needed: false,
            ..Self::needed("testing", "", fraction.max(0.0))
        }
    }
}

/// Fails if there are no classes.
pub(super) fn check_classes(names: &[String]) -> Result<()> {
    check(!names.is_empty(), "the number of classes", "at least 1", 0)
}
