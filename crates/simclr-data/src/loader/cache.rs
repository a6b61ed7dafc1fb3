//! Images kept in memory after their first use.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use simclr_augment::{DecodedImage, Image, Pixels, Policy, Stream};

use crate::dataset::Dataset;
use crate::error::{Error, Result};

/// What views are made from: the image as decoded, or already squashed.
pub(super) enum Source {
    Decoded(DecodedImage),
    Squashed(Image),
}

impl Source {
    fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Decoded(image) => image.data().len(),
            Self::Squashed(image) => size_of_val(image.data()),
        };
        bytes as u64
    }

    /// Makes one view per output.
    pub(super) fn views(
        &self,
        policy: &Policy,
        stream: &Stream,
        outputs: &mut [&mut [f32]],
    ) -> Result<(), simclr_augment::Error> {
        match self {
            Self::Decoded(image) => policy.views_into(image, stream, outputs),
            Self::Squashed(image) => policy.views_into(image, stream, outputs),
        }
    }
}

/// One slot per image, filled until the memory is used up.
pub(super) struct ImageCache {
    max_bytes: u64,
    used_bytes: AtomicU64,
    images: Vec<OnceLock<Arc<Source>>>,
}

impl ImageCache {
    pub(super) fn new(len: usize, max_bytes: u64) -> Self {
        let slots = if max_bytes == 0 { 0 } else { len };
        Self {
            max_bytes,
            used_bytes: AtomicU64::new(0),
            images: (0..slots).map(|_| OnceLock::new()).collect(),
        }
    }

    /// The image, from memory or decoded.
    pub(super) fn get(
        &self,
        dataset: &dyn Dataset,
        index: usize,
        policy: &Policy,
    ) -> Result<Arc<Source>> {
        let Some(slot) = self.images.get(index) else {
            return Ok(Arc::new(Source::Decoded(dataset.decode(index)?)));
        };
        if let Some(source) = slot.get() {
            return Ok(source.clone());
        }
        let decoded = dataset.decode(index)?;
        let source = smaller(decoded, policy).map_err(|source| Error::Augment {
            name: dataset.name(index),
            source,
        })?;
        let source = Arc::new(source);
        let bytes = source.bytes();
        let kept = slot.get().is_none() && self.reserve(bytes);
        // Another thread may have been faster; its image is the same.
        if kept && slot.set(source.clone()).is_err() {
            self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        Ok(source)
    }

    /// Takes `bytes` of the memory if there is that much left.
    fn reserve(&self, bytes: u64) -> bool {
        let add = |used: u64| used.checked_add(bytes).filter(|&sum| sum <= self.max_bytes);
        let order = Ordering::Relaxed;
        self.used_bytes.fetch_update(order, order, add).is_ok()
    }
}

/// The squashed image if there is one and it takes less memory, else the decoded one.
fn smaller(decoded: DecodedImage, policy: &Policy) -> simclr_augment::Result<Source> {
    let smaller_squashed = policy.squash.is_some_and(|(height, width)| {
        height * width * size_of::<f32>() < Pixels::height(&decoded) * Pixels::width(&decoded)
    });
    if smaller_squashed && let Some(image) = policy.squash(&decoded)? {
        return Ok(Source::Squashed(image));
    }
    Ok(Source::Decoded(decoded))
}
