use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::Seed;
use crate::depth::DepthGuidance;
use crate::error::{Error, Result, check};
use crate::setters::setters;

/// In which order images come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Shuffled anew each epoch, by (seed, epoch) (default).
    #[default]
    Shuffled,
    /// As they stand in the set.
    Sequential,
}

/// What happens to the images that do not fill the last batch of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastBatch {
    /// They are left out of this epoch (default), as the original's fine-tuning and
    /// probe do.
    #[default]
    Drop,
    /// They come in a smaller batch.
    Keep,
    /// They begin a batch that is filled up with the next epoch's first images, as in
    /// the original's pretraining: no image is left out, and n epochs have
    /// `n * images / batch_size` steps. Such a batch can hold an image twice.
    #[serde(alias = "straddle")]
    WrapAcrossEpochs,
}

/// A part of each batch, where several ranks share the work on it: equally many images for
/// each, those of rank 0 first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// The number of the part, from 0.
    pub index: usize,
    /// How many parts there are.
    pub count: usize,
}

/// The whole batch.
impl Default for Shard {
    fn default() -> Self {
        Self { index: 0, count: 1 }
    }
}

impl Shard {
    /// The part of a range.
    pub(super) fn of(self, whole: Range<usize>) -> Range<usize> {
        let bound = |index| whole.start + index * whole.len() / self.count;
        bound(self.index)..bound(self.index + 1)
    }
}

/// The options of a [`ViewLoader`](crate::ViewLoader).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LoaderConfig {
    /// Images per batch (default 128), those of other shards included. A batch has `views` times
    /// as many rows.
    pub batch_size: usize,
    /// Views of each image (default 2).
    pub views: usize,
    /// Order of the images (default: shuffled).
    pub order: Order,
    /// What happens to an incomplete last batch (default: it is dropped).
    pub last_batch: LastBatch,
    /// Seed of the order and of the views (default 0).
    pub seed: Seed,
    /// The part of each batch that is made (default: the whole). An image's views do not depend
    /// on it.
    pub shard: Shard,
    /// Threads that decode and augment (default: `None`, as many as the machine has
    /// cores). The result does not depend on it.
    pub threads: Option<usize>,
    /// Batches that are prepared ahead of the caller (default 2).
    pub queue: usize,
    /// Memory for images that are kept after their first use, in bytes (default 0:
    /// none are kept). Images are kept decoded at 3 bytes per pixel, or squashed at
    /// 12 bytes per pixel if the policy squashes first and that is smaller. When the
    /// memory is used up, the images not yet in it are decoded each time.
    pub cache_bytes: u64,
    /// Whether views after the first come from neighbours in depth, and which pairs of views are
    /// [listed](crate::Batch::near_views) as near (default: neither). Needs images with
    /// [positions](crate::Dataset::position).
    pub depth_guidance: DepthGuidance,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            batch_size: 128,
            views: 2,
            order: Order::Shuffled,
            last_batch: LastBatch::Drop,
            seed: Seed(0),
            shard: Shard::default(),
            threads: None,
            queue: 2,
            cache_bytes: 0,
            depth_guidance: DepthGuidance::default(),
        }
    }
}

impl LoaderConfig {
    /// One view of each image in the set's order; the last batch is kept.
    pub fn evaluation(batch_size: usize) -> Self {
        Self {
            batch_size,
            views: 1,
            order: Order::Sequential,
            last_batch: LastBatch::Keep,
            ..Self::default()
        }
    }

    setters! {
        with_batch_size(batch_size: usize);
        with_views(views: usize);
        with_order(order: Order);
        with_last_batch(last_batch: LastBatch);
        with_seed(seed: Seed);
        with_shard(shard: Shard);
        with_threads(threads: Option<usize>);
        with_queue(queue: usize);
        with_cache_bytes(cache_bytes: u64);
        with_depth_guidance(depth_guidance: DepthGuidance);
    }

    /// Fails if an option is out of range.
    ///
    /// # Errors
    /// Names the option.
    pub fn validate(&self) -> Result<()> {
        for (name, value) in [
            ("batch_size", self.batch_size),
            ("views", self.views),
            ("threads", self.threads.unwrap_or(1)),
            ("queue", self.queue),
        ] {
            check(value > 0, name, "at least 1", value)?;
        }
        self.depth_guidance.validate()?;
        let Shard { index, count } = self.shard;
        if index >= count {
            return Err(Error::setting(
                "shard.index",
                format!("below {count}"),
                index,
            ));
        }
        if !self.batch_size.is_multiple_of(count) {
            let expected = format!("a multiple of the {count} shards");
            return Err(Error::setting("batch_size", expected, self.batch_size));
        }
        let is_even = count == 1 || self.last_batch != LastBatch::Keep;
        let expected = "`drop` or `wrap_across_epochs` for shards of equal size";
        check(is_even, "last_batch", expected, "`keep`")
    }

    /// Fails unless batches can be made of `len` images.
    pub(super) fn validate_for(&self, len: usize) -> Result<()> {
        self.validate()?;
        check(len > 0, "the number of images", "at least 1", len)?;
        if self.batch_size > len && self.last_batch != LastBatch::Keep {
            let batch_size = self.batch_size;
            return Err(Error::BatchTooLarge { batch_size, len });
        }
        Ok(())
    }
}
