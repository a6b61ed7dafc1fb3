//! SimCLR checkpoints: our own files, and everybody else's.
//!
//! [`CheckpointFile`] is the format of this workspace: safetensors whose metadata says what the
//! tensors are (architecture, source, preprocessing, versions). It is written atomically and
//! read with every length checked.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use simclr_checkpoint::CheckpointFile;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("model.safetensors");
//! let mut checkpoint = CheckpointFile::default();
//! checkpoint.tensors.insert("gamma".into(), Tensor::ones(64, DType::F32, &Device::Cpu)?);
//! checkpoint.save(&path)?;
//! assert_eq!(CheckpointFile::load(&path, &Device::Cpu)?.tensors.len(), 1);
//! # Ok(())
//! # }
//! ```

mod element;
mod error;
mod format;
mod ranged_file;
pub mod tensorflow;

pub use element::{Array, ElementType, Values};
pub use error::{Error, Result};
pub use format::{
    CheckpointFile, FORMAT_VERSION, LIBRARY_VERSION, Metadata, Preprocessing, SafetensorsReader,
    Source, TensorEntry, newest_first,
};
