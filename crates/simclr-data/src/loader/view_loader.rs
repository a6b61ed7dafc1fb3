use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use simclr_augment::Augmentation;

use super::batches::Batches;
use super::config::LoaderConfig;
use super::job::Job;
use crate::Seed;
use crate::dataset::{Dataset, IntoDataset};
use crate::error::Result;

/// Decodes images and makes views of them on threads of its own, some batches ahead
/// of the training step.
///
/// Which images are in a batch, and how their views look, depends on the data set,
/// the augmentation, the seed and the step's number alone: not on the number of threads,
/// nor on where the loader was started. So an interrupted run goes on exactly with
/// [`ViewLoader::batches`] from its next step.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use simclr_augment::Policy;
/// use simclr_data::{Seed, ViewLoader};
///
/// # let image = simclr_augment::DecodedImage::new(32, 32, vec![99; 32 * 32 * 3])?;
/// # let cores = simclr_data::InMemory::unlabelled(vec![image; 40]);
/// let loader = ViewLoader::training(cores, Policy::paper(24), 16, Seed(1))?;
/// for batch in loader.epochs(0..2)? {
///     let batch = batch?;
///     assert_eq!(batch.views.dims(), [2 * 16, 24, 24, 3]);
///     assert_eq!(batch.indices.len(), 16);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Memory
/// Up to [`LoaderConfig::queue`] finished or half-finished batches wait, each of
/// `views * batch_size * height * width * 12` bytes, beside the one that the caller
/// holds; and [`LoaderConfig::cache_bytes`] of images.
#[derive(Clone)]
pub struct ViewLoader {
    job: Arc<Job>,
}

impl fmt::Debug for ViewLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewLoader")
            .field("dataset", &self.job.dataset)
            .field("augmentation", &self.job.augmentation)
            .field("config", self.job.config())
            .finish()
    }
}

impl ViewLoader {
    /// A loader with every option given.
    ///
    /// # Errors
    /// If the set is empty, an option or the augmentation is out of range, or a batch is
    /// larger than the set although incomplete batches are not kept.
    pub fn new(
        dataset: impl IntoDataset,
        augmentation: impl Augmentation + 'static,
        config: LoaderConfig,
    ) -> Result<Self> {
        let job = Job::new(dataset.into_dataset(), Arc::new(augmentation), config)?;
        Ok(Self { job: Arc::new(job) })
    }

    /// Two views of each image in a new order each epoch, incomplete last batches
    /// dropped: [`LoaderConfig::default`].
    ///
    /// # Errors
    /// As [`ViewLoader::new`].
    pub fn training(
        dataset: impl IntoDataset,
        augmentation: impl Augmentation + 'static,
        batch_size: usize,
        seed: Seed,
    ) -> Result<Self> {
        let config = LoaderConfig::default().with_batch_size(batch_size);
        Self::new(dataset, augmentation, config.with_seed(seed))
    }

    /// One view of each image, in the set's order, the last batch as small as it
    /// comes: [`LoaderConfig::evaluation`].
    ///
    /// # Errors
    /// As [`ViewLoader::new`].
    pub fn evaluation(
        dataset: impl IntoDataset,
        augmentation: impl Augmentation + 'static,
        batch_size: usize,
    ) -> Result<Self> {
        Self::new(dataset, augmentation, LoaderConfig::evaluation(batch_size))
    }

    /// The images.
    pub fn dataset(&self) -> &Arc<dyn Dataset> {
        &self.job.dataset
    }

    /// The options.
    pub fn config(&self) -> &LoaderConfig {
        self.job.config()
    }

    /// How many batches the first `epochs` epochs have: the number of the step at
    /// which the next epoch begins.
    pub fn steps(&self, epochs: usize) -> usize {
        self.job.sampler.steps(epochs)
    }

    /// The batches of some steps, counted from the beginning of epoch 0. Threads
    /// start at once and stop when the last batch is made or the iterator is
    /// dropped.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn batches(&self, steps: Range<usize>) -> Result<Batches> {
        Batches::start(self.job.clone(), steps)
    }

    /// The batches of some epochs.
    ///
    /// # Errors
    /// As [`ViewLoader::batches`].
    pub fn epochs(&self, epochs: Range<usize>) -> Result<Batches> {
        self.batches(self.steps(epochs.start)..self.steps(epochs.end))
    }
}
