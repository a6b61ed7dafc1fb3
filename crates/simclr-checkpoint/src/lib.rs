//! SimCLR checkpoints: our own files, and everybody else's.
//!
//! - [`import`] recognises the network in a TensorFlow checkpoint of SimCLR (name-based,
//!   object-based or a SavedModel) or in a PyTorch ResNet, and accounts for every variable.
//! - [`save_model`], [`load_model`] and [`LoadNetwork`] are for whole networks in our format,
//!   [`CheckpointFile`] for any named tensors with metadata, such as the state of a training run.
//! - `tensorflow::Bundle` reads any TensorFlow checkpoint: list, inspect, read, verify.
//! - [`export_torchvision`] gives our networks to users of PyTorch.
//!
//! ```
//! use candle_core::Device;
//! use simclr_checkpoint::{LoadNetwork, Source, export_torchvision, import, save_model};
//! use simclr_model::{ResNetConfig, SimClr, SimClrConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let (ours, theirs) = (folder.path().join("a.safetensors"), folder.path().join("b.safetensors"));
//! let model = SimClr::initialize(&SimClrConfig::new(ResNetConfig::depth(18)), 1, &Device::Cpu)?;
//! save_model(&ours, &model, Source::default())?;
//! assert_eq!(SimClr::load(&ours, &Device::Cpu)?.config(), model.config());
//!
//! export_torchvision(&ours, &theirs)?;
//! let imported = import(&theirs)?;
//! println!("{}", imported.report);
//! assert_eq!(imported.config.encoder, model.config().encoder);
//! # Ok(())
//! # }
//! ```
//!
//! # The format
//! Safetensors, with what the tensors are in its metadata (see [`Metadata`]). Files are
//! written beside their final name and then renamed (`simclr_files`). Loading is strict: errors name the file and what is missing, left over or
//! of another shape. [`SaveOptions`] stores in half precision.
//!
//! # Untrusted files
//! Every length is compared with the file's size before memory is asked for, checksums are
//! compared whenever bytes are read, and no input makes the readers panic. Pickles (`.pth`)
//! are read by candle, which promises less.
//!
//! # Features
//! `tensorflow` (default): reads TensorFlow's checkpoints, with prost, snap and crc32c.
#![warn(missing_debug_implementations)]

mod architecture;
mod element;
mod error;
mod export;
mod format;
mod import;
mod model_file;
#[cfg(feature = "tensorflow")]
mod names;
mod ranged_file;
mod setters;
#[cfg(feature = "tensorflow")]
pub mod tensorflow;
mod torch;

pub use candle_core;

pub use element::{Array, ElementType, Values};
pub use error::{Error, Result};
pub use export::{export_torchvision, export_torchvision_with};
pub use format::container::CheckpointFile;
pub use format::metadata::{FORMAT_VERSION, LIBRARY_VERSION, Metadata, Preprocessing, Source};
pub use format::options::SaveOptions;
pub use format::reader::{SafetensorsReader, TensorEntry};
#[cfg(feature = "tensorflow")]
pub use import::recognize;
pub use import::{Heads, ImportOptions, Imported, Origin, Report, Unused, import, import_with};
pub use model_file::{
    LoadNetwork, LoadedModel, check_architecture, load_model, load_parameters, model_checkpoint,
    save_model,
};
#[cfg(feature = "tensorflow")]
pub use names::{CanonicalNames, canonical_names};

/// The program of the README, compiled.
#[cfg(all(doctest, feature = "tensorflow"))]
#[doc = include_str!("../README.md")]
struct Readme;
