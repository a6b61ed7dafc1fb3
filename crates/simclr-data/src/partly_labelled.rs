//! Images with labels and images without, as one set.

use std::sync::Arc;

use simclr_augment::DecodedImage;

use crate::{Dataset, Result};

/// A labelled set followed by an unlabelled one, for learning from both at once.
///
/// The classes are those of the first; whatever labels the second has are not seen.
///
/// ```
/// use simclr_data::{Dataset, DatasetExt, PartlyLabelled, Seed, SyntheticCores};
///
/// let cores = SyntheticCores::new(40, 32, Seed(1))?;
/// let labelled = cores.subset((0..10).collect::<Vec<_>>())?;
/// let others = cores.subset((10..40).collect::<Vec<_>>())?;
/// let both = PartlyLabelled::new(labelled.shared(), others.shared());
/// assert_eq!((both.len(), both.class_names().len()), (40, 10));
/// assert!(both.label(9).is_some() && both.label(10).is_none());
/// # Ok::<(), simclr_data::Error>(())
/// ```
#[derive(Clone)]
pub struct PartlyLabelled {
    labelled: Arc<dyn Dataset>,
    unlabelled: Arc<dyn Dataset>,
}

impl PartlyLabelled {
    /// The images of `labelled` with their labels, then those of `unlabelled` without.
    pub fn new(labelled: Arc<dyn Dataset>, unlabelled: Arc<dyn Dataset>) -> Self {
        Self {
            labelled,
            unlabelled,
        }
    }

    /// The set that an image is in, and its index there.
    fn place(&self, index: usize) -> (&dyn Dataset, usize) {
        match index.checked_sub(self.labelled.len()) {
            None => (self.labelled.as_ref(), index),
            Some(index) => (self.unlabelled.as_ref(), index),
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
        self.labelled.label(index)
    }

    fn name(&self, index: usize) -> String {
        let (set, index) = self.place(index);
        set.name(index)
    }

    fn decode(&self, index: usize) -> Result<DecodedImage> {
        let (set, index) = self.place(index);
        set.decode(index)
    }

    fn content_digest(&self, index: usize) -> Result<[u8; 32]> {
        let (set, index) = self.place(index);
        set.content_digest(index)
    }
}
