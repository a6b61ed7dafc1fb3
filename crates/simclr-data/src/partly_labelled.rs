use std::sync::Arc;

use crate::dataset::{Dataset, IntoDataset};
use crate::located::forward_images;

/// A labelled set followed by an unlabelled one, for learning from both at once.
///
/// The classes are those of the first; labels of the second are ignored.
///
/// ```
/// use simclr_data::{Dataset, DatasetExt, PartlyLabelled, Seed, SyntheticCores};
///
/// let cores = SyntheticCores::new(40, 32, Seed(1))?;
/// let labelled = cores.subset((0..10).collect::<Vec<_>>())?;
/// let others = cores.subset((10..40).collect::<Vec<_>>())?;
/// let both = PartlyLabelled::new(labelled, others);
/// assert_eq!((both.len(), both.class_names().len()), (40, 10));
/// assert!(both.label(9).is_some() && both.label(10).is_none());
/// # Ok::<(), simclr_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct PartlyLabelled {
    labelled: Arc<dyn Dataset>,
    unlabelled: Arc<dyn Dataset>,
}

impl PartlyLabelled {
    /// The images of `labelled` with their labels, then those of `unlabelled` without.
    pub fn new(labelled: impl IntoDataset, unlabelled: impl IntoDataset) -> Self {
        Self {
            labelled: labelled.into_dataset(),
            unlabelled: unlabelled.into_dataset(),
        }
    }

    /// The set that an image is in, and its index there.
    fn locate(&self, index: usize) -> Option<(&dyn Dataset, usize)> {
        match index.checked_sub(self.labelled.len()) {
            None => Some((self.labelled.as_ref(), index)),
            Some(index) if index < self.unlabelled.len() => Some((self.unlabelled.as_ref(), index)),
            Some(_) => None,
        }
    }
}

impl Dataset for PartlyLabelled {
    fn len(&self) -> usize {
        self.labelled.len() + self.unlabelled.len()
    }

    fn class_names(&self) -> &[String] {
        self.labelled.class_names()
    }

    fn label(&self, index: usize) -> Option<u32> {
        let is_labelled = index < self.labelled.len();
        is_labelled.then(|| self.labelled.label(index)).flatten()
    }

    forward_images!();

    fn class_counts(&self) -> Vec<usize> {
        self.labelled.class_counts()
    }
}
