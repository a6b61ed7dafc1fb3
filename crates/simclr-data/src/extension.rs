use std::sync::Arc;

use crate::Seed;
use crate::class_map::ClassMap;
use crate::dataset::Dataset;
use crate::error::Result;
use crate::mapped::Mapped;
use crate::split::{
    Fractions, Groups, Split, grouped_split, label_budget, stratified_split, unlabelled_fraction,
};
use crate::subset::Subset;

/// What can be made of any data set that is cheap to clone, such as
/// [`ImageFolder`](crate::ImageFolder) or `Arc<dyn Dataset>`.
///
/// ```
/// use simclr_data::{Dataset, DatasetExt, Fractions, Seed, SyntheticCores};
///
/// let cores = SyntheticCores::new(40, 16, Seed(1))?;
/// let split = cores.split(Fractions { train: 0.5, validation: 0.25 }, Seed(1))?;
/// assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (20, 10, 10));
/// assert_eq!(split.train.decode(0)?.width(), 16);
/// # Ok::<(), simclr_data::Error>(())
/// ```
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

    /// A fraction of each class, at least one image of each: what a model may learn from
    /// when labels are scarce.
    ///
    /// Budgets of one seed are nested: every image of the 5 % is in the 10 %, so that a
    /// curve over budgets shows what more labels bring and not other images.
    ///
    /// # Errors
    /// If the images have no labels or the fraction is not in (0, 1].
    fn label_budget(&self, fraction: f64, seed: Seed) -> Result<Subset> {
        self.subset(label_budget(self, fraction, seed)?)
    }

    /// A fraction of the images whatever their labels, at least one: for curves over the
    /// number of unlabelled images. Fractions of one seed are nested.
    ///
    /// # Errors
    /// If the fraction is not in (0, 1].
    fn unlabelled_fraction(&self, fraction: f64, seed: Seed) -> Result<Subset> {
        self.subset(unlabelled_fraction(self.len(), fraction, seed)?)
    }
}

impl<D: Dataset + Clone + 'static> DatasetExt for D {}
