//! What the loader's threads do: decode images and make views of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::Rng;
use rayon::prelude::*;
use simclr_augment::{Augmentation, CHANNELS, SourceImage, Stream, View};

use super::cache::ImageCache;
use super::config::LoaderConfig;
use super::sampler::{Sample, Sampler};
use crate::dataset::Dataset;
use crate::decode::{hold_memory, panic_message};
use crate::depth::DepthNeighbours;
use crate::error::{Error, Result, check};
use crate::streams::NEIGHBOUR;

/// What the threads need to know.
pub(super) struct Job {
    pub(super) dataset: Arc<dyn Dataset>,
    pub(super) augmentation: Arc<dyn Augmentation>,
    pub(super) sampler: Sampler,
    cache: ImageCache,
    /// If depth matters.
    neighbours: Option<DepthNeighbours>,
}

impl Job {
    pub(super) fn new(
        dataset: Arc<dyn Dataset>,
        augmentation: Arc<dyn Augmentation>,
        config: LoaderConfig,
    ) -> Result<Self> {
        config.validate_for(dataset.len())?;
        augmentation.validate()?;
        let images = dataset.len().min(config.batch_size / config.shard.count);
        check_memory(images, config.views, augmentation.view_size())?;
        let guidance = config.depth_guidance;
        let neighbours = guidance
            .needs_positions()
            .then(|| DepthNeighbours::new(dataset.as_ref()))
            .transpose()?;
        if let Some(neighbours) = &neighbours {
            neighbours.check(guidance)?;
        }
        let images = dataset.len();
        Ok(Self {
            neighbours,
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

    /// The address of a sample's random numbers.
    fn stream(&self, sample: &Sample) -> Stream {
        Stream::new(self.config().seed)
            .epoch(sample.epoch as u64)
            .sample(sample.index as u64)
    }

    /// The image that a view of a sample is of: its own for the first, and a neighbour in depth
    /// for the others if so configured.
    fn source(&self, sample: &Sample, view: usize) -> usize {
        let radius = self.config().depth_guidance.positive_radius;
        match (&self.neighbours, radius) {
            (Some(neighbours), Some(radius)) if view > 0 => {
                let mut near = neighbours.within(sample.index, radius);
                let stream = self.stream(sample).view(View::Index(view as u32));
                let chosen = stream.rng(NEIGHBOUR).random_range(0..near.len().max(1));
                near.nth(chosen).unwrap_or(sample.index)
            }
            _ => sample.index,
        }
    }

    /// The pairs of views of a whole batch that are near each other, if they are wanted.
    pub(super) fn near_views(&self, samples: &[Sample]) -> Option<Vec<(usize, usize)>> {
        let distance = self.config().depth_guidance.negative_distance?;
        let views = 0..self.config().views;
        let sources = views.flat_map(|view| {
            let of_sample = move |sample| self.source(sample, view);
            samples.iter().map(of_sample)
        });
        let sources: Vec<usize> = sources.collect();
        Some(self.neighbours.as_ref()?.near_pairs(&sources, distance))
    }

    /// Decodes an image and makes its views.
    fn make_views(&self, sample: &Sample, outputs: &mut [&mut [f32]]) -> Result<()> {
        let stream = self.stream(sample);
        if self.config().depth_guidance.positive_radius.is_none() {
            return self.guarded(sample.index, |source| {
                self.augmentation.views_into(source, stream, outputs)
            });
        }
        outputs
            .iter_mut()
            .enumerate()
            .try_for_each(|(view, output)| {
                self.guarded(self.source(sample, view), |source| {
                    let stream = stream.view(View::Index(view as u32));
                    self.augmentation.view_into(source, stream, output)
                })
            })
    }

    /// Does something with a decoded image.
    fn guarded(
        &self,
        index: usize,
        make_views: impl FnOnce(&SourceImage) -> simclr_augment::Result<()>,
    ) -> Result<()> {
        let dataset = self.dataset.as_ref();
        let make = || {
            let source = self.cache.get(dataset, index, self.augmentation.as_ref())?;
            make_views(&source).map_err(|source| {
                let name = dataset.name(index);
                Error::Augment { name, source }
            })
        };
        // What panics at an image may do so at its name.
        let name = || catch_unwind(AssertUnwindSafe(|| dataset.name(index)));
        // A decoder that panics on a damaged file must not end the process; the batch
        // is given up, so nobody sees half-written views.
        let made = hold_memory(|| catch_unwind(AssertUnwindSafe(make)));
        made.unwrap_or_else(|panic| {
            Err(Error::Worker {
                name: name().unwrap_or_else(|_| format!("image {index}")),
                message: panic_message(&*panic),
            })
        })
    }
}

/// Fails unless the memory has room for a batch of views: later, where it is reserved for each
/// batch, a lack of it ends the process.
fn check_memory(images: usize, views: usize, (height, width): (usize, usize)) -> Result<()> {
    let has_room = |values: usize| {
        let mut batch = Vec::<f32>::new();
        let reserved = batch.try_reserve_exact(values);
        // Lest the compiler leave the reservation out.
        std::hint::black_box(batch);
        reserved.is_ok()
    };
    let mut factors = [images, views, height, width, CHANNELS].into_iter();
    let values = factors.try_fold(1, usize::checked_mul);
    check(
        values.is_some_and(|values| values > 0 && has_room(values)),
        "batch_size",
        "such that a batch has pixels and fits in memory",
        format_args!("{images} images, {views} views of each of {height} x {width} pixels"),
    )
}
