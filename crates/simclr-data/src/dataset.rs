//! What a set of images is, wherever it comes from.

use std::sync::Arc;

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use simclr_augment::DecodedImage;

use crate::{Error, Result};

/// Images by index, with labels if there are any.
///
/// Loaders, splits and evaluations see images through this trait alone, so a set
/// of your own (a database, an archive, a camera's memory) needs only these five
/// methods. Images are decoded on worker threads, hence `Send + Sync`.
pub trait Dataset: Send + Sync {
    /// How many images there are.
    fn len(&self) -> usize;

    /// The class names in label order; empty if the images have no labels.
    fn class_names(&self) -> &[String];

    /// The label of an image: an index into [`class_names`](Self::class_names), or
    /// `None` if the image has no label or does not exist.
    fn label(&self, index: usize) -> Option<u32>;

    /// What to call an image in messages and tables, such as its path.
    fn name(&self, index: usize) -> String;

    /// The image itself.
    ///
    /// # Errors
    /// If the image cannot be read, or `index` is past the end. The message names
    /// the image.
    fn decode(&self, index: usize) -> Result<DecodedImage>;

    /// Whether there is no image at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// SHA-256 of an image's content, whatever its name and label: what caches know it by.
    ///
    /// By default that of its size and pixels; a folder takes the file's bytes, which
    /// costs no decoding. The same pixels may therefore have different digests in
    /// different kinds of sets, but different pixels never the same.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    fn content_digest(&self, index: usize) -> Result<[u8; 32]> {
        let image = self.decode(index)?;
        let mut digest = Sha256::new();
        for side in [image.height(), image.width()] {
            digest.update((side as u64).to_le_bytes());
        }
        digest.update(image.data());
        Ok(digest.finalize().into())
    }

    /// All labels in order.
    ///
    /// # Errors
    /// If an image has no label, or one without a class. `operation` says in the
    /// message what the labels were needed for.
    fn labels(&self, operation: &'static str) -> Result<Vec<u32>> {
        let classes = self.class_names().len();
        let label_of = |index| match self.label(index) {
            None => Err(Error::Unlabelled {
                operation,
                name: self.name(index),
            }),
            Some(label) if label as usize >= classes => Err(Error::Label {
                name: self.name(index),
                label,
                classes,
            }),
            Some(label) => Ok(label),
        };
        (0..self.len()).map(label_of).collect()
    }

    /// How many images each class has, in label order; images without a label are
    /// not counted.
    fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.class_names().len()];
        for label in (0..self.len()).filter_map(|index| self.label(index)) {
            if let Some(count) = counts.get_mut(label as usize) {
                *count += 1;
            }
        }
        counts
    }
}

impl<D: Dataset + ?Sized> Dataset for Arc<D> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn class_names(&self) -> &[String] {
        (**self).class_names()
    }

    fn label(&self, index: usize) -> Option<u32> {
        (**self).label(index)
    }

    fn name(&self, index: usize) -> String {
        (**self).name(index)
    }

    fn decode(&self, index: usize) -> Result<DecodedImage> {
        (**self).decode(index)
    }

    fn content_digest(&self, index: usize) -> Result<[u8; 32]> {
        (**self).content_digest(index)
    }
}

/// Some images of a set, by their indices there.
#[derive(Clone)]
pub struct Subset {
    dataset: Arc<dyn Dataset>,
    indices: Arc<[usize]>,
}

impl Subset {
    /// The images of `dataset` at `indices`, in that order.
    ///
    /// # Errors
    /// If an index is past the end.
    pub fn new(dataset: Arc<dyn Dataset>, indices: impl Into<Arc<[usize]>>) -> Result<Self> {
        let indices = indices.into();
        let len = dataset.len();
        match indices.iter().find(|&&index| index >= len) {
            Some(&index) => Err(Error::Index { index, len }),
            None => Ok(Self { dataset, indices }),
        }
    }

    /// The indices in the set that this is a part of.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// The set that this is a part of.
    pub fn parent(&self) -> &Arc<dyn Dataset> {
        &self.dataset
    }

    /// Where an image is in the set that this is a part of.
    fn inner(&self, index: usize) -> Result<usize> {
        let len = self.indices.len();
        let inner = self.indices.get(index).copied();
        inner.ok_or(Error::Index { index, len })
    }
}

impl std::fmt::Debug for Subset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subset")
            .field("of", &self.dataset.len())
            .field("indices", &self.indices)
            .finish()
    }
}

impl Dataset for Subset {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn class_names(&self) -> &[String] {
        self.dataset.class_names()
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.dataset.label(*self.indices.get(index)?)
    }

    fn name(&self, index: usize) -> String {
        match self.indices.get(index) {
            Some(&inner) => self.dataset.name(inner),
            None => format!("image {index}"),
        }
    }

    fn decode(&self, index: usize) -> Result<DecodedImage> {
        self.dataset.decode(self.inner(index)?)
    }

    fn content_digest(&self, index: usize) -> Result<[u8; 32]> {
        self.dataset.content_digest(self.inner(index)?)
    }
}

/// Decoded images in memory.
#[derive(Debug, Clone)]
pub struct InMemory {
    inner: Arc<Contents>,
}

#[derive(Debug)]
struct Contents {
    images: Vec<DecodedImage>,
    labels: Option<Vec<u32>>,
    names: Vec<String>,
    classes: Vec<String>,
}

impl InMemory {
    /// Images without labels; they are called `image 0`, `image 1` and so on.
    pub fn unlabelled(images: Vec<DecodedImage>) -> Self {
        Self::from_parts(images, None, Vec::new())
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
            return Err(Error::parameter(
                "the number of labels",
                format!("{} (one per image)", images.len()),
                labels.len(),
            ));
        }
        let set = Self::from_parts(images, Some(labels), classes);
        set.labels("an in-memory set with classes")?;
        Ok(set)
    }

    /// Decodes a whole set, on all threads, and keeps it with its names and labels.
    ///
    /// Memory: three bytes per pixel.
    ///
    /// # Errors
    /// If an image cannot be decoded.
    pub fn collect(dataset: &dyn Dataset) -> Result<Self> {
        let count = dataset.len();
        let images = (0..count)
            .into_par_iter()
            .map(|index| dataset.decode(index))
            .collect::<Result<Vec<_>>>()?;
        let contents = Contents {
            images,
            labels: (0..count).map(|index| dataset.label(index)).collect(),
            names: (0..count).map(|index| dataset.name(index)).collect(),
            classes: dataset.class_names().to_vec(),
        };
        Ok(Self {
            inner: Arc::new(contents),
        })
    }

    fn from_parts(
        images: Vec<DecodedImage>,
        labels: Option<Vec<u32>>,
        classes: Vec<String>,
    ) -> Self {
        let names = (0..images.len()).map(|i| format!("image {i}")).collect();
        Self {
            inner: Arc::new(Contents {
                images,
                labels,
                names,
                classes,
            }),
        }
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
        match self.inner.names.get(index) {
            Some(name) => name.clone(),
            None => format!("image {index}"),
        }
    }

    fn decode(&self, index: usize) -> Result<DecodedImage> {
        let image = self.inner.images.get(index);
        image.cloned().ok_or(Error::Index {
            index,
            len: self.len(),
        })
    }
}
