//! What the loader's threads do: decode images and make views of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use simclr_augment::{Augmentation, CHANNELS, Stream};

use super::cache::ImageCache;
use super::config::LoaderConfig;
use super::sampler::{Sample, Sampler};
use crate::dataset::Dataset;
use crate::decode::{hold_memory, panic_message};
use crate::error::{Error, Result};

/// What the threads need to know.
pub(super) struct Job {
    pub(super) dataset: Arc<dyn Dataset>,
    pub(super) augmentation: Arc<dyn Augmentation>,
    pub(super) sampler: Sampler,
    cache: ImageCache,
}

impl Job {
    pub(super) fn new(
        dataset: Arc<dyn Dataset>,
        augmentation: Arc<dyn Augmentation>,
        config: LoaderConfig,
    ) -> Result<Self> {
        config.validate_for(dataset.len())?;
        augmentation.validate()?;
        let images = dataset.len();
        Ok(Self {
            sampler: Sampler { images, config },
            cache: ImageCache::new(images, config.cache_bytes),
            dataset,
            augmentation,
        })
    }

    pub(super) fn config(&self) -> &LoaderConfig {
        &self.sampler.config
    }

    /// Height and width of a view.
    pub(super) fn size(&self) -> (usize, usize) {
        self.augmentation.view_size()
    }

    /// The views of a batch, each written to its final place.
    pub(super) fn make_batch(&self, samples: &[Sample], stopped: &AtomicBool) -> Result<Vec<f32>> {
        let (height, width) = self.size();
        let view_len = height * width * CHANNELS;
        let mut values = vec![0.0; self.config().views * samples.len() * view_len];
        // The views of an image are apart: the first views of all images come first.
        let mut outputs: Vec<Vec<&mut [f32]>> = samples.iter().map(|_| Vec::new()).collect();
        for block in values.chunks_exact_mut((samples.len() * view_len).max(1)) {
            for (of_image, view) in outputs.iter_mut().zip(block.chunks_exact_mut(view_len)) {
                of_image.push(view);
            }
        }
        let made: Vec<Result<()>> = samples
            .par_iter()
            .zip(outputs)
            .with_max_len(1)
            .map(|(sample, mut outputs)| {
                if stopped.load(Ordering::Relaxed) {
                    return Ok(());
                }
                self.make_views(sample, &mut outputs)
            })
            .collect();
        // The first error by position, whichever thread was faster.
        made.into_iter().collect::<Result<()>>()?;
        Ok(values)
    }

    /// Decodes an image and makes its views.
    fn make_views(&self, sample: &Sample, outputs: &mut [&mut [f32]]) -> Result<()> {
        let (dataset, index) = (self.dataset.as_ref(), sample.index);
        let make = || {
            let source = self.cache.get(dataset, index, self.augmentation.as_ref())?;
            let stream = Stream::new(self.config().seed)
                .epoch(sample.epoch as u64)
                .sample(index as u64);
            let made = self.augmentation.views_into(&source, stream, outputs);
            made.map_err(|source| {
                let name = dataset.name(index);
                Error::Augment { name, source }
            })
        };
        // A decoder that panics on a damaged file must not end the process; the batch
        // is given up, so nobody sees half-written views.
        let made = hold_memory(|| catch_unwind(AssertUnwindSafe(make)));
        made.unwrap_or_else(|panic| {
            Err(Error::Worker {
                name: dataset.name(index),
                message: panic_message(&*panic),
            })
        })
    }
}
