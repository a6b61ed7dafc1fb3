//! Which images a step's batch holds.

use std::ops::Range;
use std::sync::Arc;

use simclr_augment::Purpose;

use super::config::{LastBatch, LoaderConfig, Order};
use crate::streams::shuffled;

/// One image of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) epoch: usize,
    pub(super) index: usize,
}

/// The contents of every batch, as a function of the step's number.
#[derive(Debug, Clone)]
pub(super) struct Sampler {
    pub(super) images: usize,
    pub(super) config: LoaderConfig,
}

impl Sampler {
    /// Steps in the first `epochs` epochs.
    pub(super) fn steps(&self, epochs: usize) -> usize {
        let batch_size = self.config.batch_size;
        match self.config.last_batch {
            LastBatch::Drop => epochs.saturating_mul(self.images / batch_size),
            LastBatch::Keep => epochs.saturating_mul(self.images.div_ceil(batch_size)),
            LastBatch::WrapAcrossEpochs => epochs.saturating_mul(self.images) / batch_size,
        }
    }

    /// The images of a step's batch, of this shard alone. `epochs` keeps the orders of recent
    /// epochs.
    pub(super) fn batch(&self, step: usize, epochs: &mut RecentEpochs) -> Vec<Sample> {
        self.samples(self.config.shard.of(self.positions(step)), epochs)
    }

    /// The images of a step's batch, of all shards.
    pub(super) fn whole_batch(&self, step: usize, epochs: &mut RecentEpochs) -> Vec<Sample> {
        self.samples(self.positions(step), epochs)
    }

    /// Where a step's batch lies in the endless sequence of epochs.
    fn positions(&self, step: usize) -> Range<usize> {
        let batch_size = self.config.batch_size;
        match self.config.last_batch {
            LastBatch::WrapAcrossEpochs => step * batch_size..(step + 1) * batch_size,
            LastBatch::Drop | LastBatch::Keep => {
                let per_epoch = self.steps(1);
                let epoch_start = step / per_epoch * self.images;
                let start = epoch_start + step % per_epoch * batch_size;
                start
                    ..start
                        .saturating_add(batch_size)
                        .min(epoch_start + self.images)
            }
        }
    }

    fn samples(&self, positions: Range<usize>, epochs: &mut RecentEpochs) -> Vec<Sample> {
        let sample = |position| {
            let epoch = position / self.images;
            let order = epochs.get(epoch, self);
            let index = order.get(position % self.images).copied()?;
            Some(Sample { epoch, index })
        };
        positions.filter_map(sample).collect()
    }

    fn epoch_order(&self, epoch: usize) -> Vec<usize> {
        let (indices, seed) = ((0..self.images).collect(), self.config.seed);
        match self.config.order {
            Order::Sequential => indices,
            Order::Shuffled => shuffled(indices, seed, epoch as u64, 0, Purpose::Shuffle),
        }
    }
}

/// The orders of the last two epochs that were asked for.
#[derive(Debug, Default)]
pub(super) struct RecentEpochs {
    orders: Vec<(usize, Arc<[usize]>)>,
}

impl RecentEpochs {
    fn get(&mut self, epoch: usize, sampler: &Sampler) -> Arc<[usize]> {
        if let Some((_, order)) = self.orders.iter().find(|(of, _)| *of == epoch) {
            return order.clone();
        }
        let order: Arc<[usize]> = sampler.epoch_order(epoch).into();
        if self.orders.len() == 2 {
            self.orders.remove(0);
        }
        self.orders.push((epoch, order.clone()));
        order
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::config::Shard;
    use super::*;

    fn sampler(images: usize, batch_size: usize, last_batch: LastBatch) -> Sampler {
        let config = LoaderConfig::default().with_batch_size(batch_size);
        let config = config.with_last_batch(last_batch);
        Sampler { images, config }
    }

    fn batches(sampler: &Sampler, epochs: usize) -> Vec<Vec<Sample>> {
        let mut recent = RecentEpochs::default();
        let steps = 0..sampler.steps(epochs);
        steps.map(|step| sampler.batch(step, &mut recent)).collect()
    }

    fn indices(samples: &[Sample]) -> BTreeSet<usize> {
        samples.iter().map(|sample| sample.index).collect()
    }

    #[test]
    fn dropped_epochs_have_whole_batches_of_different_images() {
        let batches = batches(&sampler(10, 4, LastBatch::Drop), 3);
        assert_eq!(batches.len(), 6);
        for (epoch, pair) in batches.chunks(2).enumerate() {
            let both = pair.concat();
            assert_eq!((both.len(), indices(&both).len()), (8, 8));
            assert!(both.iter().all(|sample| sample.epoch == epoch));
        }
    }

    #[test]
    fn kept_epochs_hold_every_image_once() {
        let batches = batches(&sampler(10, 4, LastBatch::Keep), 2);
        let sizes: Vec<_> = batches.iter().map(Vec::len).collect();
        assert_eq!(sizes, [4, 4, 2, 4, 4, 2]);
        assert_eq!(indices(&batches[..3].concat()), (0..10).collect());
        assert_ne!(batches[0], batches[3]);
    }

    #[test]
    fn wrapped_batches_leave_no_image_out() {
        let batches = batches(&sampler(10, 4, LastBatch::WrapAcrossEpochs), 2);
        assert_eq!(batches.len(), 5);
        let samples = batches.concat();
        assert_eq!(indices(&samples[..10]), (0..10).collect());
        assert_eq!(indices(&samples[10..]), (0..10).collect());
        assert_eq!([0, 1, 2, 3].map(|i| batches[2][i].epoch), [0, 0, 1, 1]);
    }

    #[test]
    fn shards_after_each_other_are_the_whole_batch() {
        for last_batch in [LastBatch::Drop, LastBatch::WrapAcrossEpochs] {
            let whole = batches(&sampler(11, 6, last_batch), 3);
            for count in [1, 2, 3, 6] {
                let shard = |index| {
                    let mut sampler = sampler(11, 6, last_batch);
                    sampler.config.shard = Shard { index, count };
                    batches(&sampler, 3)
                };
                let shards: Vec<_> = (0..count).map(shard).collect();
                for (step, whole) in whole.iter().enumerate() {
                    let of_step: Vec<_> = shards.iter().map(|shard| &shard[step][..]).collect();
                    assert!(of_step.iter().all(|part| part.len() == 6 / count));
                    assert_eq!(of_step.concat(), *whole);
                }
            }
        }
    }

    #[test]
    fn batches_and_epochs_may_be_as_many_as_can_be_counted() {
        let whole = sampler(3, usize::MAX, LastBatch::Keep);
        let sizes: Vec<_> = batches(&whole, 2).iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 3]);
        for last_batch in [
            LastBatch::Drop,
            LastBatch::Keep,
            LastBatch::WrapAcrossEpochs,
        ] {
            assert!(sampler(11, 3, last_batch).steps(usize::MAX) > 1 << 60);
        }
    }

    #[test]
    fn a_step_has_the_same_batch_wherever_the_loader_starts() {
        for last_batch in [
            LastBatch::Drop,
            LastBatch::Keep,
            LastBatch::WrapAcrossEpochs,
        ] {
            let sampler = sampler(11, 3, last_batch);
            let from_start = batches(&sampler, 3);
            let alone = sampler.batch(8, &mut RecentEpochs::default());
            assert_eq!(alone, from_start[8]);
        }
    }
}
