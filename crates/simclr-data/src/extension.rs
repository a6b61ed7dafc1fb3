//! Splits and maps as methods of every data set.

use std::sync::Arc;

use crate::{
    ClassMap, Dataset, Fractions, Groups, Mapped, Result, Seed, Split, Subset, grouped_split,
    label_budget, stratified_split, unlabelled_fraction,
};

/// What can be made of any data set that is cheap to clone, such as
/// [`ImageFolder`](crate::ImageFolder) or `Arc<dyn Dataset>`.
pub trait DatasetExt: Dataset + Clone + Sized + 'static {
    /// The set behind a shared pointer, as loaders take it.
    fn shared(&self) -> Arc<dyn Dataset> {
        Arc::new(self.clone())
    }

    /// The images at some indices.
    ///
    /// # Errors
    /// If an index is past the end.
    fn subset(&self, indices: impl Into<Arc<[usize]>>) -> Result<Subset> {
        Subset::new(self.shared(), indices)
    }

    /// A stratified split; see [`stratified_split`].
    ///
    /// # Errors
    /// As [`stratified_split`].
    fn split(&self, fractions: Fractions, seed: Seed) -> Result<Split<Subset>> {
        stratified_split(self, fractions, seed)?.of(self.shared())
    }

    /// A split that keeps groups together; see [`grouped_split`].
    ///
    /// # Errors
    /// As [`grouped_split`].
    fn split_grouped(
        &self,
        groups: &Groups,
        fractions: Fractions,
        seed: Seed,
    ) -> Result<Split<Subset>> {
        grouped_split(self, groups, fractions, seed)?.of(self.shared())
    }

    /// The same images with other classes.
    ///
    /// # Errors
    /// As [`ClassMap::resolve`].
    fn mapped(&self, map: &ClassMap) -> Result<Mapped> {
        map.apply(self.shared())
    }

    /// A fraction of each class; see [`label_budget`].
    ///
    /// # Errors
    /// As [`label_budget`].
    fn label_budget(&self, fraction: f64, seed: Seed) -> Result<Subset> {
        label_budget(self, fraction, seed)
    }

    /// A fraction of all images; see [`unlabelled_fraction`].
    ///
    /// # Errors
    /// As [`unlabelled_fraction`].
    fn unlabelled_fraction(&self, fraction: f64, seed: Seed) -> Result<Subset> {
        unlabelled_fraction(self, fraction, seed)
    }
}

impl<D: Dataset + Clone + 'static> DatasetExt for D {}
