//! Named tensors and metadata in one file.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};

use super::{Metadata, SafetensorsReader, TensorPlan, write_safetensors};
use crate::element::ElementType;
use crate::ranged_file::CHUNK;
use crate::{Error, Result};
use simclr_files::Durability;

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
    /// Writes the file. Until everything is on the disk, an older file of this name stays as
    /// it is; afterwards it is replaced at once.
    ///
    /// # Errors
    /// Fails if the folder cannot be written to or a tensor's type has no place in the format.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let plans = self.plans(path)?;
        let tensors: Vec<&Tensor> = self.tensors.values().collect();
        write_safetensors(
            path,
            Durability::Synchronized,
            &self.metadata.to_entries(),
            &plans,
            |index, out| match tensors.get(index) {
                Some(tensor) => write_tensor(path, tensor, out),
                None => Ok(()),
            },
        )
    }

    /// Reads a file that [`Self::save`] has written.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the file is damaged, or of another or a later format.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let reader = SafetensorsReader::open(path)?;
        let metadata = Metadata::from_entries(path, reader.metadata().clone())?;
        let tensors = reader.tensors().keys().map(|name| {
            let array = reader.read(name)?;
            let tensor = array.into_tensor(device).map_err(Error::tensor(path))?;
            Ok((name.clone(), tensor))
        });
        Ok(Self {
            tensors: tensors.collect::<Result<_>>()?,
            metadata,
        })
    }

    /// Reads what a file says about itself, without its tensors.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_metadata(path: impl AsRef<Path>) -> Result<Metadata> {
        let reader = SafetensorsReader::open(path.as_ref())?;
        Metadata::from_entries(path.as_ref(), reader.metadata().clone())
    }

    fn plans(&self, path: &Path) -> Result<Vec<TensorPlan>> {
        let plan = |(name, tensor): (&String, &Tensor)| {
            let element =
                ElementType::of_candle(tensor.dtype()).ok_or_else(|| Error::Unsupported {
                    path: path.to_owned(),
                    what: format!("tensor `{name}`"),
                    reason: format!("elements of type {:?}", tensor.dtype()),
                })?;
            Ok(TensorPlan {
                name: name.clone(),
                element,
                shape: tensor.dims().to_vec(),
            })
        };
        self.tensors.iter().map(plan).collect()
    }
}

/// Writes the values as little-endian bytes.
fn write_tensor(path: &Path, tensor: &Tensor, out: &mut dyn Write) -> Result<()> {
    let flat = tensor.flatten_all().map_err(Error::tensor(path))?;
    macro_rules! write {
        ($type:ty) => {{
            let values = flat.to_vec1::<$type>().map_err(Error::tensor(path))?;
            let mut bytes = Vec::with_capacity(CHUNK);
            for piece in values.chunks(CHUNK / size_of::<$type>()) {
                bytes.clear();
                bytes.extend(piece.iter().flat_map(|value| value.to_le_bytes()));
                out.write_all(&bytes).map_err(Error::io(path))?;
            }
        }};
    }
    match tensor.dtype() {
        DType::F32 => write!(f32),
        DType::F64 => write!(f64),
        DType::F16 => write!(f16),
        DType::BF16 => write!(bf16),
        DType::I16 => write!(i16),
        DType::I32 => write!(i32),
        DType::I64 => write!(i64),
        DType::U8 => write!(u8),
        DType::U32 => write!(u32),
        other => {
            return Err(Error::Unsupported {
                path: path.to_owned(),
                what: "a tensor".into(),
                reason: format!("elements of type {other:?}"),
            });
        }
    }
    Ok(())
}

/// The `.safetensors` files of a folder, the last written one first; of those written at the
/// same moment, the one whose name sorts last. Unfinished temporary files are not among them.
///
/// # Errors
/// Fails if the folder cannot be read.
pub fn newest_first(directory: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let directory = directory.as_ref();
    let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(Error::io(directory))? {
        let path = entry.map_err(Error::io(directory))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "safetensors")
        {
            let metadata = path.metadata().map_err(Error::io(&path))?;
            files.push((metadata.modified().map_err(Error::io(&path))?, path));
        }
    }
    files.sort_unstable_by(|a, b| b.cmp(a));
    Ok(files.into_iter().map(|(_, path)| path).collect())
}
