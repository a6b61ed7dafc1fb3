//! One seed of a study.

use std::path::PathBuf;
use std::sync::Arc;

use simclr_data::{AugmentedDataset, Dataset, DatasetExt, OfflineAugmentation, Seed, Split};

use crate::error::{Error, Result};
use crate::task::Task;

/// One seed of a study: its folds, and a folder for its training runs.
#[derive(Debug, Clone)]
pub struct SeedRun {
    /// The seed.
    pub seed: Seed,
    /// A folder of this seed's own in the study's folder, for pretraining runs.
    pub dir: PathBuf,
    /// The folds, as indices into the task's images. All have the same test images.
    pub folds: Vec<Split<Vec<usize>>>,
    pub(crate) task: Arc<Task>,
    pub(crate) offline_augmentation: Option<OfflineAugmentation>,
}

impl SeedRun {
    /// What self-supervision may see: everything but the test images, or a fraction of it,
    /// and copies of that if the protocol wants any.
    ///
    /// # Errors
    /// A fraction that is not in (0, 1].
    pub fn unlabelled(&self, fraction: f64) -> Result<Arc<dyn Dataset>> {
        let pool = self.originals(fraction)?;
        match &self.offline_augmentation {
            None => Ok(pool),
            Some(how) => {
                let all: Vec<usize> = (0..pool.len()).collect();
                Ok(AugmentedDataset::new(pool, &all, how.clone())?.shared())
            }
        }
    }

    /// How many images [`unlabelled`](Self::unlabelled) gives, copies not counted.
    ///
    /// # Errors
    /// As [`unlabelled`](Self::unlabelled).
    pub fn unlabelled_count(&self, fraction: f64) -> Result<usize> {
        Ok(self.originals(fraction)?.len())
    }

    fn originals(&self, fraction: f64) -> Result<Arc<dyn Dataset>> {
        let first = self.folds.first();
        let first = first.ok_or_else(|| Error::setting("folds", "at least one", "none"))?;
        self.task.unlabelled(first, fraction, self.seed)
    }
}
