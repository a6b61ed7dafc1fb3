//! The files that networks are imported from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::pickle::PthTensors;
use candle_core::{DType, Tensor};

use crate::element::{ElementType, append_as_f32};
use crate::ranged_file::{CHUNK, RangedFile};
use crate::tensorflow::Bundle;
use crate::{Error, Result, SafetensorsReader, Values};

/// Under these names training scripts put the parameters into a pickled dictionary. The one with
/// the most tensors counts.
const STATE_DICTIONARIES: [Option<&str>; 5] = [
    None,
    Some("state_dict"),
    Some("model"),
    Some("model_state"),
    Some("model_state_dict"),
];

/// An open file, whatever its format.
pub(crate) enum SourceFile {
    TensorFlow(Bundle),
    Safetensors(SafetensorsReader),
    Pickle(PickleFile),
}

/// What kind of file a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileForm {
    TensorFlow,
    Safetensors,
    Pickle,
}

impl FileForm {
    /// By the name, and where that says nothing (`net.pth.tar`, `last.ckpt`) by the first bytes:
    /// PyTorch writes zip files. Folders and whatever else are TensorFlow's.
    fn of(path: &Path) -> Result<Self> {
        if !path.is_file() {
            return Ok(Self::TensorFlow);
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        Ok(match extension {
            Some("safetensors") => Self::Safetensors,
            Some("pth" | "pt" | "bin") => Self::Pickle,
            _ if begins_with(path, ZIP)? => Self::Pickle,
            _ => Self::TensorFlow,
        })
    }
}

/// The first bytes of a zip file.
const ZIP: &[u8] = b"PK\x03\x04";

fn begins_with(path: &Path, bytes: &[u8]) -> Result<bool> {
    let file = RangedFile::open(path)?;
    let length = bytes.len() as u64;
    Ok(file.length() >= length && file.read("first bytes", 0, length)? == bytes)
}

/// What a file says about one of its variables.
#[derive(Debug, Clone)]
pub(crate) struct SourceVariable {
    pub(crate) shape: Vec<usize>,
    pub(crate) data_type: String,
    pub(crate) element: Option<ElementType>,
}

/// A file written by PyTorch.
pub(crate) struct PickleFile {
    path: PathBuf,
    length: u64,
    tensors: PthTensors,
}

impl SourceFile {
    /// Opens a file by its form.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        match FileForm::of(path)? {
            FileForm::Safetensors => Ok(Self::Safetensors(SafetensorsReader::open(path)?)),
            FileForm::Pickle => Ok(Self::Pickle(PickleFile::open(path)?)),
            FileForm::TensorFlow => Ok(Self::TensorFlow(Bundle::open(path)?)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::TensorFlow(bundle) => bundle.index(),
            Self::Safetensors(file) => file.path(),
            Self::Pickle(file) => &file.path,
        }
    }

    pub(crate) fn variables(&self) -> BTreeMap<String, SourceVariable> {
        let of_element = |shape: &[usize], element: ElementType| SourceVariable {
            shape: shape.to_vec(),
            data_type: element.to_string(),
            element: Some(element),
        };
        match self {
            Self::TensorFlow(bundle) => bundle
                .variables()
                .map(|(name, variable)| {
                    let data_type = variable.data_type();
                    let variable = SourceVariable {
                        shape: variable.shape().to_vec(),
                        data_type: data_type.to_string(),
                        element: data_type.element(),
                    };
                    (name.to_owned(), variable)
                })
                .collect(),
            Self::Safetensors(file) => file
                .tensors()
                .iter()
                .map(|(name, entry)| (name.clone(), of_element(&entry.shape, entry.element)))
                .collect(),
            Self::Pickle(file) => file
                .tensors
                .tensor_infos()
                .values()
                .map(|info| {
                    let variable = SourceVariable {
                        shape: info.layout.dims().to_vec(),
                        data_type: format!("{:?}", info.dtype).to_lowercase(),
                        element: ElementType::of_candle(info.dtype),
                    };
                    (info.name.clone(), variable)
                })
                .collect(),
        }
    }

    /// The CRC-32C of a variable's bytes as they are stored, one per block. TensorFlow's are
    /// in its index and compared whenever the values are read; others are computed.
    pub(crate) fn checksums(&self, name: &str) -> Result<Vec<u32>> {
        match self {
            Self::TensorFlow(bundle) => Ok(bundle
                .get(name)
                .map(|variable| variable.checksums().collect())
                .unwrap_or_default()),
            Self::Safetensors(file) => {
                let mut checksum = 0;
                file.for_each_chunk(name, |bytes| {
                    checksum = crc32c::crc32c_append(checksum, bytes);
                    Ok(())
                })?;
                Ok(vec![checksum])
            }
            Self::Pickle(file) => {
                let values = file.read_f32(name)?;
                let bytes = values.iter().flat_map(|value| value.to_le_bytes());
                Ok(vec![crc32c::crc32c(&bytes.collect::<Vec<_>>())])
            }
        }
    }

    /// Reads a variable of floating-point numbers.
    pub(crate) fn read_f32(&self, name: &str) -> Result<Vec<f32>> {
        match self {
            Self::TensorFlow(bundle) => Ok(bundle.read(name)?.values.into_f32()),
            Self::Safetensors(file) => Ok(file.read(name)?.values.into_f32()),
            Self::Pickle(file) => file.read_f32(name),
        }
    }

    /// Passes on the values of a variable as little-endian bytes of `f32`, piece by piece
    /// where the format allows it.
    pub(crate) fn for_each_f32_chunk(
        &self,
        name: &str,
        mut visit: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let element = |bundle: &Bundle| bundle.get(name).and_then(|v| v.data_type().element());
        match self {
            Self::TensorFlow(bundle) if element(bundle) == Some(ElementType::F32) => {
                bundle.for_each_chunk(name, visit)
            }
            Self::TensorFlow(bundle) => {
                let element = element(bundle).unwrap_or(ElementType::Bool);
                let mut converted = Vec::new();
                bundle.for_each_chunk(name, |bytes| {
                    converted.clear();
                    if !append_as_f32(element, bytes, &mut converted) {
                        return Err(Error::Unsupported {
                            path: self.path().to_owned(),
                            what: format!("parameter `{name}`"),
                            reason: format!("elements of type {element}"),
                        });
                    }
                    visit(&converted)
                })
            }
            _ => for_each_chunk_of(&self.read_f32(name)?, visit),
        }
    }
}

/// Passes on values as little-endian bytes.
pub(crate) fn for_each_chunk_of(
    values: &[f32],
    mut visit: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut bytes = Vec::with_capacity(CHUNK.min(4 * values.len()));
    for piece in values.chunks(CHUNK / size_of::<f32>()) {
        bytes.clear();
        bytes.extend(piece.iter().flat_map(|value| value.to_le_bytes()));
        visit(&bytes)?;
    }
    Ok(())
}

impl PickleFile {
    fn open(path: &Path) -> Result<Self> {
        let length = RangedFile::open(path)?.length();
        let mut largest: Option<PthTensors> = None;
        let mut first_error = None;
        for key in STATE_DICTIONARIES {
            match PthTensors::new(path, key) {
                Ok(tensors) => {
                    let count = |tensors: &PthTensors| tensors.tensor_infos().len();
                    if count(&tensors) > largest.as_ref().map_or(0, count) {
                        largest = Some(tensors);
                    }
                }
                Err(error) => drop(first_error.get_or_insert(error)),
            }
        }
        let tensors = largest.ok_or_else(|| {
            let reason = first_error.map_or_else(String::new, |error| format!(": {error}"));
            let reason = format!(
                "no dictionary of tensors (`state_dict`) saved by PyTorch 1.6 or later{reason}"
            );
            Error::malformed(path, reason)
        })?;
        Ok(Self {
            path: path.to_owned(),
            length,
            tensors,
        })
    }

    fn read_f32(&self, name: &str) -> Result<Vec<f32>> {
        let not_found = || Error::NotFound {
            path: self.path.clone(),
            name: name.to_owned(),
            hint: String::new(),
        };
        let info = self
            .tensors
            .tensor_infos()
            .get(name)
            .ok_or_else(not_found)?;
        // PyTorch stores without compression: what a tensor needs must be there.
        let size = ElementType::of_candle(info.dtype)
            .and_then(|element| element.byte_count(info.layout.dims()));
        if size.is_none_or(|size| size > self.length) {
            let shape = info.layout.dims();
            let length = self.length;
            let reason = format!("{name}: shape {shape:?} in a file of {length} bytes");
            return Err(Error::malformed(&self.path, reason));
        }
        if !info.layout.is_contiguous() && !info.layout.is_fortran_contiguous() {
            return Err(Error::Unsupported {
                path: self.path.clone(),
                what: format!("tensor `{name}`"),
                reason: "it is not contiguous (of a channels-last network?); save the tensors' \
                         `.contiguous()`"
                    .into(),
            });
        }
        let values = |tensor: Tensor| tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1();
        let tensor = self.tensors.get(name).map_err(Error::tensor(&self.path))?;
        values(tensor.ok_or_else(not_found)?).map_err(Error::tensor(&self.path))
    }
}

/// Small values that tell something about the file, not the network.
pub(crate) fn read_integer(source: &SourceFile, name: &str) -> Option<i64> {
    let SourceFile::TensorFlow(bundle) = source else {
        return None;
    };
    let variable = bundle.get(name)?;
    if !variable.shape().is_empty() {
        return None;
    }
    match bundle.read(name).ok()?.values {
        Values::I64(values) => values.first().copied(),
        Values::I32(values) => values.first().map(|&value| i64::from(value)),
        _ => None,
    }
}
