//! The files that networks are imported from.

use std::collections::BTreeMap;
use std::path::Path;

use super::pickle::{LEGACY_PICKLE, PickleFile};
use super::source_variable::SourceVariable;
use crate::Result;
use crate::element::ElementType;
use crate::format::reader::{SafetensorsReader, TensorEntry};
use crate::ranged_file::RangedFile;
#[cfg(feature = "tensorflow")]
use crate::tensorflow::{Bundle, Variable};

/// An open file, whatever its format.
pub(super) enum SourceFile {
    #[cfg(feature = "tensorflow")]
    TensorFlow(Bundle),
    Safetensors(SafetensorsReader),
    Pickle(PickleFile),
}

/// The first bytes of a zip file, which is what PyTorch writes.
const ZIP: &[u8] = b"PK\x03\x04";

impl SourceFile {
    /// Opens a file by its extension, and where that says nothing (`net.pth.tar`, `last.ckpt`) by
    /// its first bytes. Folders and whatever else are TensorFlow's.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension {
            _ if path.is_dir() => {}
            Some("safetensors") => return SafetensorsReader::open(path).map(Self::Safetensors),
            Some("pth" | "pt" | "bin") => return PickleFile::open(path).map(Self::Pickle),
            _ if path.is_file() && begins_with(path, &[ZIP, LEGACY_PICKLE])? => {
                return PickleFile::open(path).map(Self::Pickle);
            }
            _ => {}
        }
        #[cfg(feature = "tensorflow")]
        return Bundle::open(path).map(Self::TensorFlow);
        #[cfg(not(feature = "tensorflow"))]
        {
            crate::error::InFile::in_file(path.metadata(), path)?;
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
            Self::Pickle(file) => file.variables(),
        }
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
            Self::Pickle(file) => file
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
            Self::Pickle(file) => file.read_f32(name),
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

fn begins_with(path: &Path, candidates: &[&[u8]]) -> Result<bool> {
    let file = RangedFile::open(path)?;
    let first = file.read("first bytes", 0, file.length().min(8))?;
    Ok(candidates.iter().any(|bytes| first.starts_with(bytes)))
}
