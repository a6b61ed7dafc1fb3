//! Representations of whole data sets.

use std::sync::Arc;

use candle_core::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use simclr_augment::Policy;
use simclr_data::{Dataset, DatasetExt, Split, Subset, ViewLoader};
use simclr_model::FrozenEncoder;

use crate::evaluation::Examples;
use crate::run::{DatasetFacts, Progress, Silent, StepUpdate};
use crate::{Error, Result};

/// Images per forward pass of the encoder.
pub(crate) const BATCH_SIZE: usize = 64;

/// What an encoder makes of the images of a data set, in the set's order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// `[images, size]`, row by row.
    pub values: Vec<f32>,
    /// Numbers per image.
    pub size: usize,
    /// The images' labels; empty if they have none.
    pub labels: Vec<u32>,
    /// The classes' names; empty if the images have no labels.
    pub class_names: Vec<String>,
}

impl Features {
    /// Runs the encoder over every image, as `policy` prepares it, and takes the
    /// output of its global average pool.
    ///
    /// # Errors
    /// An image that cannot be read; a policy whose images are too small for the encoder.
    pub fn extract(
        encoder: &FrozenEncoder,
        images: Arc<dyn Dataset>,
        policy: &Policy,
    ) -> Result<Self> {
        Self::extract_showing(encoder, images, policy, &mut Silent)
    }

    /// [`Self::extract`], reporting each batch.
    ///
    /// # Errors
    /// As [`Self::extract`].
    pub fn extract_showing(
        encoder: &FrozenEncoder,
        images: Arc<dyn Dataset>,
        policy: &Policy,
        progress: &mut dyn Progress,
    ) -> Result<Self> {
        let loader = ViewLoader::evaluation(images.clone(), policy.clone(), BATCH_SIZE)?;
        let mut values = Vec::new();
        let mut size = 0;
        for batch in loader.epochs(0..1)? {
            let batch = batch?;
            let features = encoder.features(&batch.views)?.final_avg_pool;
            size = features.dim(1)?;
            values.extend(features.flatten_all()?.to_vec1::<f32>()?);
            progress.step(&StepUpdate {
                images: batch.len(),
                ..StepUpdate::default()
            });
        }
        Self::new(values, size, images.as_ref())
    }

    /// Features that are there already, `[images, size]` row by row, of these images.
    ///
    /// # Errors
    /// Not `size` numbers per image; some images with and some without a label.
    pub fn new(values: Vec<f32>, size: usize, images: &dyn Dataset) -> Result<Self> {
        if values.len() != images.len() * size {
            let expected = format!("{} images x {size}", images.len());
            return Err(Error::setting("number of features", expected, values.len()));
        }
        let class_names = images.class_names().to_vec();
        let labels = match class_names.is_empty() {
            true => Vec::new(),
            false => images.labels("features")?,
        };
        Ok(Self {
            values,
            size,
            labels,
            class_names,
        })
    }

    /// The features of each part of a split.
    ///
    /// # Errors
    /// As [`Self::extract`].
    pub fn of_split(
        encoder: &FrozenEncoder,
        split: &Split<Subset>,
        policy: &Policy,
    ) -> Result<Split<Self>> {
        split
            .clone()
            .try_map(|part| Self::extract(encoder, part.shared(), policy))
    }

    /// The features with their labels, as probes take them.
    ///
    /// # Errors
    /// If there are no labels.
    pub fn examples(&self) -> Result<Examples<'_>> {
        Examples::new(&self.values, self.size, &self.labels)
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.size).unwrap_or(0)
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// `[images, size]` on the CPU.
    ///
    /// # Errors
    /// If the tensor cannot be made.
    pub fn tensor(&self) -> Result<Tensor> {
        let shape = (self.len(), self.size);
        Ok(Tensor::from_slice(
            &self.values,
            shape,
            &candle_core::Device::Cpu,
        )?)
    }

    /// The images at some positions.
    ///
    /// # Errors
    /// A position past the end.
    pub fn select(&self, positions: &[usize]) -> Result<Self> {
        let past =
            |position| Error::setting("position", format!("less than {}", self.len()), position);
        let mut selected = Self {
            values: Vec::with_capacity(positions.len() * self.size),
            labels: Vec::with_capacity(positions.len()),
            size: self.size,
            class_names: self.class_names.clone(),
        };
        for &position in positions {
            let row = self
                .values
                .get(position * self.size..(position + 1) * self.size);
            selected.values.extend(row.ok_or_else(|| past(position))?);
            selected.labels.extend(self.labels.get(position));
        }
        Ok(selected)
    }
}

/// What identifies a data set in a run's manifest: how many images there are, and a
/// digest of their names and labels.
pub fn dataset_facts(source: &str, images: &dyn Dataset) -> DatasetFacts {
    let mut digest = Sha256::new();
    for class in images.class_names() {
        digest.update(class);
        digest.update([0]);
    }
    for index in 0..images.len() {
        digest.update(images.name(index));
        digest.update([0]);
        digest.update(images.label(index).unwrap_or(u32::MAX).to_le_bytes());
    }
    DatasetFacts {
        source: source.to_owned(),
        images: images.len(),
        digest: hex(&digest.finalize()),
    }
}

/// As [`dataset_facts`], with the images' contents in the digest, which takes reading them
/// all.
///
/// # Errors
/// An image that cannot be read.
pub fn dataset_facts_with_contents(source: &str, images: &dyn Dataset) -> Result<DatasetFacts> {
    let facts = dataset_facts(source, images);
    let mut digest = Sha256::new();
    digest.update(&facts.digest);
    digest.update(content_digest(images)?);
    Ok(DatasetFacts {
        digest: hex(&digest.finalize()),
        ..facts
    })
}

/// A digest of the images' contents in their order; names and labels do not count.
pub(crate) fn content_digest(images: &dyn Dataset) -> Result<String> {
    let contents = (0..images.len()).into_par_iter();
    let contents: Vec<[u8; 32]> = contents
        .map(|index| images.content_digest(index))
        .collect::<Result<_, _>>()?;
    Ok(hex(&Sha256::digest(contents.as_flattened())))
}

/// Two digits per byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
