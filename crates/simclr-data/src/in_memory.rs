use std::sync::Arc;

use rayon::prelude::*;
use simclr_augment::DecodedImage;

use crate::dataset::Dataset;
use crate::depth_position::DepthPosition;
use crate::error::{Error, Result};

/// Decoded images in memory. Cloning is cheap: the clones share the images.
#[derive(Debug, Clone)]
pub struct InMemory {
    inner: Arc<Contents>,
}

#[derive(Debug, Default)]
struct Contents {
    images: Vec<DecodedImage>,
    labels: Option<Vec<u32>>,
    /// Default names if there are none.
    names: Option<Vec<String>>,
    /// None are known if there are none.
    positions: Vec<Option<DepthPosition>>,
    classes: Vec<String>,
}

impl InMemory {
    /// Images without labels; they are called `image 0`, `image 1` and so on.
    pub fn unlabelled(images: Vec<DecodedImage>) -> Self {
        Self::new(Contents {
            images,
            ..Contents::default()
        })
    }

    /// Images with a label each.
    ///
    /// # Errors
    /// If there is not one label per image, or a label has no class.
    pub fn labelled(
        images: Vec<DecodedImage>,
        labels: Vec<u32>,
        classes: Vec<String>,
    ) -> Result<Self> {
        if labels.len() != images.len() {
            let expected = format!("{} (one per image)", images.len());
            let found = labels.len();
            return Err(Error::setting("the number of labels", expected, found));
        }
        let set = Self::new(Contents {
            images,
            labels: Some(labels),
            classes,
            ..Contents::default()
        });
        set.labels("an in-memory set with classes")?;
        Ok(set)
    }

    /// Decodes a whole set, on all threads, and keeps it with its names, labels and positions.
    ///
    /// Memory: three bytes per pixel.
    ///
    /// # Errors
    /// If an image cannot be decoded.
    pub fn collect(dataset: &dyn Dataset) -> Result<Self> {
        let count = dataset.len();
        let images = (0..count).into_par_iter().map(|i| dataset.decode(i));
        Ok(Self::new(Contents {
            images: images.collect::<Result<_>>()?,
            labels: (0..count).map(|i| dataset.label(i)).collect(),
            names: Some((0..count).map(|i| dataset.name(i)).collect()),
            positions: (0..count).map(|i| dataset.position(i)).collect(),
            classes: dataset.class_names().to_vec(),
        }))
    }

    fn new(contents: Contents) -> Self {
        let inner = Arc::new(contents);
        Self { inner }
    }

    /// The images.
    pub fn images(&self) -> &[DecodedImage] {
        &self.inner.images
    }
}

impl Dataset for InMemory {
    fn len(&self) -> usize {
        self.inner.images.len()
    }

    fn class_names(&self) -> &[String] {
        &self.inner.classes
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.inner.labels.as_ref()?.get(index).copied()
    }

    fn name(&self, index: usize) -> String {
        let own = self.inner.names.as_ref().and_then(|names| names.get(index));
        own.cloned().unwrap_or_else(|| format!("image {index}"))
    }

    fn position(&self, index: usize) -> Option<DepthPosition> {
        self.inner.positions.get(index)?.clone()
    }

    fn decode(&self, index: usize) -> Result<DecodedImage> {
        let image = self.inner.images.get(index).cloned();
        let len = self.len();
        image.ok_or(Error::Index { index, len })
    }
}
