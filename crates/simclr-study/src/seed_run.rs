//! One seed of a study, or what one of its folds leaves out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use simclr_data::{AugmentedDataset, Dataset, DatasetExt, OfflineAugmentation, Seed, Split};

use crate::error::{Error, Result};
use crate::protocol::Protocol;
use crate::task::Task;

/// Folds of one seed that have the same test images, so that one network may be pretrained for
/// all of them, and a folder for its training runs: all folds of the seed, or, where each leaves
/// out another group, one of them.
#[derive(Debug, Clone)]
pub struct SeedRun {
    /// The seed.
    pub seed: Seed,
    /// A folder of this seed's own in the study's folder, for pretraining runs.
    pub dir: PathBuf,
    /// The number of the first of these folds among all of the seed, from 0.
    pub first_fold: usize,
    /// The folds, as indices into the task's images.
    pub folds: Vec<Split<Vec<usize>>>,
    pub(crate) task: Arc<Task>,
    pub(crate) offline_augmentation: Option<OfflineAugmentation>,
}

impl SeedRun {
    /// The folds of a seed, by their test images.
    pub(crate) fn all(
        seed: Seed,
        dir: &Path,
        task: &Arc<Task>,
        protocol: &Protocol,
    ) -> Result<Vec<Self>> {
        let folds = task.folds(&protocol.folds, seed)?;
        let dir = dir.join(format!("seed-{}", seed.0));
        let run = |first_fold: usize, folds: Vec<_>, dir: PathBuf| Self {
            seed,
            dir,
            first_fold,
            folds,
            task: task.clone(),
            offline_augmentation: protocol.offline_augmentation.clone(),
        };
        if task.is_split() || protocol.folds.shares_test_images() {
            return Ok(vec![run(0, folds, dir)]);
        }
        let folds = folds.into_iter().enumerate();
        let single = folds
            .map(|(index, fold)| run(index, vec![fold], dir.join(format!("fold-{}", index + 1))));
        Ok(single.collect())
    }

    /// The folds with their numbers among all of the seed, from 0.
    pub fn numbered_folds(&self) -> impl Iterator<Item = (usize, &Split<Vec<usize>>)> {
        (self.first_fold..).zip(&self.folds)
    }

    /// The fold of this number among all of the seed, if it is one of these.
    pub(crate) fn fold(&self, number: usize) -> Option<&Split<Vec<usize>>> {
        self.folds.get(number.checked_sub(self.first_fold)?)
    }

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
