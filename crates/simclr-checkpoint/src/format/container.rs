//! Named tensors and metadata in one file.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use simclr_files::Durability;

use super::metadata::{Metadata, stored_element};
use super::options::SaveOptions;
use super::reader::SafetensorsReader;
use super::writer::{TensorHeader, write_safetensors};
use crate::element::{ElementType, Values};
use crate::error::{Error, InFile, Result};
use crate::value_check::check_tensor;

/// Named tensors and what is known about them: a model's parameters, and whatever a training
/// run needs to go on (optimizer state as tensors, counters in [`Metadata::extra`]).
///
/// ```
/// use candle_core::{Device, Tensor};
/// use simclr_checkpoint::CheckpointFile;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut checkpoint = CheckpointFile::default();
/// let momentum = Tensor::zeros((3, 4), candle_core::DType::F32, &Device::Cpu)?;
/// checkpoint.tensors.insert("optimizer.momentum.dense.kernel".into(), momentum);
/// checkpoint.metadata.extra.insert("step".into(), 17.into());
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("step-17.safetensors");
/// checkpoint.save(&path)?;
/// let again = CheckpointFile::load(&path, &Device::Cpu)?;
/// assert_eq!(again.metadata.entry(&path, "step")?, Some(17));
/// assert_eq!(again.tensors["optimizer.momentum.dense.kernel"].dims(), [3, 4]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct CheckpointFile {
    /// The tensors, by name.
    pub tensors: BTreeMap<String, Tensor>,
    /// What is known about them.
    pub metadata: Metadata,
}

impl CheckpointFile {
    /// Looks for values that no network can have, as [`crate::check_values`] does. `path` is the
    /// file that they are for.
    ///
    /// # Errors
    /// [`Error::InvalidValues`] for the first tensor that has such values.
    pub fn check_values(&self, path: &Path) -> Result<()> {
        let mut tensors = self.tensors.iter();
        tensors.try_for_each(|(name, tensor)| check_tensor(path, name, tensor))
    }

    /// Writes the file. Until everything is on the disk, an older file of this name stays as
    /// it is; afterwards it is replaced at once.
    ///
    /// # Errors
    /// Fails if the folder cannot be written to or a tensor's type has no place in the format.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.save_with(path, &SaveOptions::default())
    }

    /// [`Self::save`] with options, for example in half precision.
    ///
    /// # Errors
    /// As [`Self::save`]; [`Error::Overflow`] if a value is too large for the element type.
    pub fn save_with(&self, path: impl AsRef<Path>, options: &SaveOptions) -> Result<()> {
        let path = path.as_ref();
        let float = options.element()?;
        let entries = self.metadata.to_entries(options)?;
        let unsupported = |name: &str, tensor: &Tensor| {
            let reason = format!("elements of type {:?}", tensor.dtype());
            Error::unsupported(path, format!("tensor `{name}`"), reason)
        };
        let mut tensors = Vec::new();
        for (name, tensor) in &self.tensors {
            let element = match ElementType::of_candle(tensor.dtype()) {
                Some(ElementType::F32) => float,
                Some(element) => element,
                None => return Err(unsupported(name, tensor)),
            };
            let header = TensorHeader {
                name: name.clone(),
                element,
                shape: tensor.dims().to_vec(),
            };
            tensors.push((header, (name, tensor)));
        }
        let durability = Durability::Synchronized;
        write_safetensors(
            path,
            durability,
            &entries,
            tensors,
            |(name, tensor), out| {
                let values = Values::of_tensor(tensor).in_file(path)?;
                out.write_values(&values.ok_or_else(|| unsupported(name, tensor))?)
            },
        )
    }

    /// Reads a file that [`Self::save`] has written. What was `f32` when it was saved is `f32`
    /// again, also if it was [stored](SaveOptions::dtype) in half precision.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the file is damaged, or of another or a later format;
    /// [`simclr_files::Error::Digest`] if its content has changed since it was written.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        Self::read(path.as_ref(), device, true)
    }

    /// [`Self::load`], but with each tensor in the type in which it is stored.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_as_stored(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        Self::read(path.as_ref(), device, false)
    }

    fn read(path: &Path, device: &Device, widen: bool) -> Result<Self> {
        let reader = SafetensorsReader::open(path)?;
        let metadata = Metadata::from_entries(path, reader.metadata().clone())?;
        reader.verify()?;
        let halved = stored_element(reader.metadata()).filter(|_| widen);
        let tensors = reader.tensors().keys().map(|name| {
            let mut array = reader.read(name)?;
            if halved == Some(array.values.element_type()) {
                array.values = Values::F32(array.values.into_f32());
            }
            Ok((name.clone(), array.into_tensor(device).in_file(path)?))
        });
        Ok(Self {
            tensors: tensors.collect::<Result<_>>()?,
            metadata,
        })
    }

    /// Reads what a file says about itself, without its tensors and without comparing its digest.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_metadata(path: impl AsRef<Path>) -> Result<Metadata> {
        let reader = SafetensorsReader::open(path.as_ref())?;
        Metadata::from_entries(path.as_ref(), reader.metadata().clone())
    }
}
