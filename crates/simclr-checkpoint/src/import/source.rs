//! The files that networks are imported from.

use std::collections::BTreeMap;
use std::path::Path;

use super::source_variable::SourceVariable;
use crate::Result;
use crate::element::ElementType;
use crate::format::reader::{SafetensorsReader, TensorEntry};
use crate::format::shards::INDEX;
use crate::other_formats::{self, ZIP};
use crate::pickle::{PickleReader, PickledTensor};
use crate::ranged_file::RangedFile;
#[cfg(feature = "tensorflow")]
use crate::tensorflow::{Bundle, Variable};

/// An open file of tensors, whatever its format.
#[derive(Debug)]
#[non_exhaustive]
pub enum SourceFile {
    /// A checkpoint of TensorFlow's.
    #[cfg(feature = "tensorflow")]
    TensorFlow(Bundle),
    /// Safetensors, of anybody's, in one file or in several with an index.
    Safetensors(SafetensorsReader),
    /// What PyTorch saved.
    Pickle(PickleReader),
}

impl SourceFile {
    /// Opens a file by its first bytes, and where these say nothing by its extension. An index of
    /// several safetensors files, or a folder with `model.safetensors.index.json`, stands for all of
    /// them. Other folders and whatever else are TensorFlow's
    /// ([`tensorflow::locate`](crate::tensorflow::locate) says what may mean one).
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) says what the file is, if it is of
    /// another format that is often taken for one of these; others say what is wrong with it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.join(INDEX).is_file() {
            return SafetensorsReader::open_index(path.join(INDEX)).map(Self::Safetensors);
        }
        if !path.is_dir() {
            let extension = path.extension().and_then(|extension| extension.to_str());
            let first = if path.is_file() {
                other_formats::beginning(&RangedFile::open(path)?)?
            } else {
                // A prefix, or nothing, which the extension's reader says.
                Vec::new()
            };
            if other_formats::is_index(&first) {
                return SafetensorsReader::open_index(path).map(Self::Safetensors);
            }
            let is_zip = first.starts_with(ZIP);
            let is_safetensors = other_formats::is_safetensors(&first);
            if is_safetensors || extension == Some("safetensors") && !is_zip {
                return SafetensorsReader::open(path).map(Self::Safetensors);
            }
            if is_zip || matches!(extension, Some("pth" | "pt" | "bin")) {
                return PickleReader::open(path).map(Self::Pickle);
            }
        }
        #[cfg(feature = "tensorflow")]
        return Bundle::open(path).map(Self::TensorFlow);
        #[cfg(not(feature = "tensorflow"))]
        {
            if !path.is_dir() {
                other_formats::check(&RangedFile::open(path)?)?;
            }
            let reason = "simclr-checkpoint was built without its feature `tensorflow`";
            let what = "a TensorFlow checkpoint";
            Err(crate::Error::unsupported(path, what, reason))
        }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            #[cfg(feature = "tensorflow")]
            Self::TensorFlow(bundle) => bundle.index(),
            Self::Safetensors(file) => file.path(),
            Self::Pickle(file) => file.path(),
        }
    }

    pub(super) fn variables(&self) -> BTreeMap<String, SourceVariable> {
        match self {
            #[cfg(feature = "tensorflow")]
            Self::TensorFlow(bundle) => {
                let variable = |variable: &Variable| SourceVariable {
                    shape: variable.shape().to_vec(),
                    data_type: variable.data_type().to_string(),
                    element: variable.data_type().element(),
                };
                let variables = bundle.variables();
                variables
                    .map(|(name, v)| (name.to_owned(), variable(v)))
                    .collect()
            }
            Self::Safetensors(file) => {
                let variable = |entry: &TensorEntry| SourceVariable {
                    shape: entry.shape.clone(),
                    data_type: entry.element.to_string(),
                    element: Some(entry.element),
                };
                let tensors = file.tensors().iter();
                tensors
                    .map(|(name, entry)| (name.clone(), variable(entry)))
                    .collect()
            }
            Self::Pickle(file) => {
                let variable = |tensor: &PickledTensor| SourceVariable {
                    shape: tensor.shape.clone(),
                    data_type: match tensor.element {
                        Some(element) => element.to_string(),
                        None => tensor.type_name.clone(),
                    },
                    element: tensor.element,
                };
                let tensors = file.tensors().iter();
                tensors
                    .map(|(name, tensor)| (name.clone(), variable(tensor)))
                    .collect()
            }
        }
    }

    /// Whether two names stand for the same values in the file.
    pub(super) fn shares_values(&self, first: &str, second: &str) -> bool {
        let Self::Pickle(file) = self else {
            return false;
        };
        let tensors = file.tensors();
        tensors.contains_key(first) && tensors.get(first) == tensors.get(second)
    }

    /// The CRC-32C of a variable's bytes as they are stored, one per slice. TensorFlow's are
    /// in its index and compared whenever the values are read; others are computed.
    #[cfg(feature = "tensorflow")]
    pub(super) fn checksums(&self, name: &str) -> Result<Vec<u32>> {
        let mut checksum = 0;
        let mut append = |bytes: &[u8]| {
            checksum = crc32c::crc32c_append(checksum, bytes);
            Ok(())
        };
        match self {
            Self::TensorFlow(bundle) => {
                let variable = bundle.get(name).into_iter();
                return Ok(variable.flat_map(Variable::checksums).collect());
            }
            Self::Safetensors(file) => file.for_each_chunk(name, append)?,
            Self::Pickle(_) => self
                .read_f32(name)?
                .into_iter()
                .try_for_each(|value| append(&value.to_le_bytes()))?,
        }
        Ok(vec![checksum])
    }

    /// None: they are computed by a library that only TensorFlow's files need.
    #[cfg(not(feature = "tensorflow"))]
    pub(super) fn checksums(&self, _name: &str) -> Result<Vec<u32>> {
        Ok(Vec::new())
    }

    /// Reads a variable of floating-point numbers.
    pub(super) fn read_f32(&self, name: &str) -> Result<Vec<f32>> {
        match self {
            #[cfg(feature = "tensorflow")]
            Self::TensorFlow(bundle) => Ok(bundle.read(name)?.values.into_f32()),
            Self::Safetensors(file) => Ok(file.read(name)?.values.into_f32()),
            Self::Pickle(file) => Ok(file.read(name)?.values.into_f32()),
        }
    }

    /// Passes on the bytes of a variable if it is stored as `f32`, in pieces of whole values;
    /// `false` if it is of another type or the format does not allow it.
    pub(super) fn for_each_f32_chunk(
        &self,
        name: &str,
        visit: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<bool> {
        let is_f32 = |element| element == Some(ElementType::F32);
        match self {
            #[cfg(feature = "tensorflow")]
            Self::TensorFlow(bundle) => {
                let variable = bundle.get(name);
                if !is_f32(variable.and_then(|variable| variable.data_type().element())) {
                    return Ok(false);
                }
                bundle.for_each_chunk(name, visit)?;
            }
            Self::Safetensors(file) => {
                if !is_f32(file.tensors().get(name).map(|entry| entry.element)) {
                    return Ok(false);
                }
                file.for_each_chunk(name, visit)?;
            }
            Self::Pickle(_) => return Ok(false),
        }
        Ok(true)
    }
}
