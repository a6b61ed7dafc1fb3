//! Representations of whole data sets.

use std::sync::Arc;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use simclr_augment::Policy;
use simclr_data::{Dataset, DatasetExt, Split, Subset, ViewLoader};
use simclr_model::FrozenEncoder;
use simclr_progress::{Progress, Silent, StepUpdate};

use crate::probes::Examples;
use crate::{Error, Result};

/// Fails for the first row of `size` features whose length is not finite; `name` is that of its
/// image.
///
/// # Errors
/// [`Error::NotFinite`].
pub fn check_finite(values: &[f32], size: usize, name: impl Fn(usize) -> String) -> Result<()> {
    let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>();
    let mut rows = values.chunks_exact(size.max(1));
    match rows.position(|row| !length(row).is_finite()) {
        None => Ok(()),
        Some(row) => Err(Error::NotFinite { image: name(row) }),
    }
}

/// The labels of all images, or none where there are no classes.
fn labels_of(images: &dyn Dataset) -> Result<Vec<u32>> {
    if images.class_names().is_empty() {
        return Ok(Vec::new());
    }
    Ok(images.labels("features")?)
}

/// Images per forward pass.
pub(crate) const BATCH_SIZE: usize = 64;

/// What an encoder makes of the images of a data set, in the set's order.
///
/// Images go through the encoder 64 at a time. How products are cut depends on the size of a
/// batch, so the last bits of an image's features depend on how many images share its forward
/// pass (about 4e-7 of the largest feature): compare features with a tolerance where the
/// batches differ. The same data set, policy and encoder give the same bits.
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
    /// Some images with and some without a label; an image that cannot be read; a policy whose images
    /// are too small for the encoder; [`Error::NotFinite`] for a row of features without a finite
    /// length.
    pub fn extract(
        encoder: &FrozenEncoder,
        images: Arc<dyn Dataset>,
        policy: &Policy,
    ) -> Result<Self> {
        Self::extract_showing(encoder, images, policy, &mut Silent)
    }

    /// [`Self::extract`], reporting each of its [`steps`](Self::extraction_steps).
    ///
    /// # Errors
    /// As [`Self::extract`].
    pub fn extract_showing(
        encoder: &FrozenEncoder,
        images: Arc<dyn Dataset>,
        policy: &Policy,
        progress: &mut dyn Progress,
    ) -> Result<Self> {
        let labels = labels_of(images.as_ref())?;
        let loader = ViewLoader::evaluation(images.clone(), policy.clone(), BATCH_SIZE)?;
        let mut values = Vec::new();
        let mut size = 0;
        for batch in loader.epochs(0..1)? {
            let batch = batch?;
            let features = encoder.embed(&batch.views, BATCH_SIZE)?;
            size = features.dim(1)?;
            values.extend(features.flatten_all()?.to_vec1::<f32>()?);
            progress.step(&StepUpdate {
                images: batch.len(),
                ..StepUpdate::default()
            });
        }
        check_finite(&values, size, |row| images.name(row))?;
        Ok(Self {
            values,
            size,
            labels,
            class_names: images.class_names().to_vec(),
        })
    }

    /// The encoder with batch norms that know these images (see [`FrozenEncoder::calibrated`]),
    /// as `policy` prepares them: of an untrained one, the fair baseline.
    ///
    /// # Errors
    /// As [`Self::extract`]; no images.
    pub fn calibrate(
        encoder: &FrozenEncoder,
        images: Arc<dyn Dataset>,
        policy: &Policy,
    ) -> Result<FrozenEncoder> {
        let loader = ViewLoader::evaluation(images, policy.clone(), BATCH_SIZE)?;
        encoder.calibrated(
            loader
                .epochs(0..1)?
                .map(|batch| Ok::<_, Error>(batch?.views)),
        )
    }

    /// The forward passes, and so the steps of progress, for this many images.
    pub fn extraction_steps(images: usize) -> usize {
        images.div_ceil(BATCH_SIZE)
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
        Ok(Self {
            values,
            size,
            labels: labels_of(images)?,
            class_names: images.class_names().to_vec(),
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
