use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use simclr_augment::{Augmentation, SourceImage};

use crate::dataset::Dataset;
use crate::error::{Error, Result};

/// One slot per image, filled until the memory is used up.
pub(super) struct ImageCache {
    max_bytes: u64,
    used_bytes: AtomicU64,
    images: Vec<OnceLock<Arc<SourceImage>>>,
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
        augmentation: &dyn Augmentation,
    ) -> Result<Arc<SourceImage>> {
        let Some(slot) = self.images.get(index) else {
            return Ok(Arc::new(dataset.decode(index)?.into()));
        };
        if let Some(source) = slot.get() {
            return Ok(source.clone());
        }
        let decoded = dataset.decode(index)?;
        let source = augmentation.prepare(decoded).map_err(|source| {
            let name = dataset.name(index);
            Error::Augment { name, source }
        })?;
        let source = Arc::new(source);
        let bytes = source.byte_size() as u64;
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
