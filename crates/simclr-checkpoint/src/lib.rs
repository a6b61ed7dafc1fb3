//! SimCLR checkpoints: our own files, and everybody else's.
//!
//! - [`import`] recognises the network in a TensorFlow checkpoint of SimCLR (name-based,
//!   object-based or a SavedModel) or in a PyTorch ResNet, and accounts for every variable.
//! - [`save_model`], [`load_model`] and [`load_encoder`] are for whole networks in our format,
//!   [`CheckpointFile`] for any named tensors with metadata, such as the state of a training run.
//! - [`tensorflow::Bundle`] reads any TensorFlow checkpoint: list, inspect, read, verify.
//! - [`export_torchvision`] gives our networks to users of PyTorch.
//!
//! ```
//! use candle_core::Device;
//! use simclr_checkpoint::{Heads, Source, export_torchvision, import, load_model, save_model};
//! use simclr_model::{ResNetConfig, SimClr, SimClrConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let (ours, theirs) = (folder.path().join("a.safetensors"), folder.path().join("b.safetensors"));
//! let model = SimClr::initialize(&SimClrConfig::new(ResNetConfig::depth(18)), 1, &Device::Cpu)?;
//! save_model(&ours, &model, Source::default())?;
//! assert_eq!(load_model(&ours, &Device::Cpu)?.model.config(), model.config());
//!
//! export_torchvision(&ours, &theirs)?;
//! let imported = import(&theirs, Heads::All)?;
//! println!("{}", imported.report());
//! assert_eq!(imported.config().encoder, model.config().encoder);
//! # Ok(())
//! # }
//! ```
//!
//! # The format
//! Safetensors, with what the tensors are in its metadata (see [`Metadata`]). Files are
//! written beside their final name and then renamed; [`Durability`](simclr_files::Durability) says whether they are brought
//! to the disk before. Loading is strict: errors name the file and what is missing, left over or
//! of another shape.
//!
//! # Untrusted files
//! Every length is compared with the file's size before memory is asked for, checksums are
//! compared whenever bytes are read, and no input makes the readers panic. Pickles (`.pth`)
//! are read by candle, which promises less.

mod architecture;
mod element;
mod error;
mod export;
mod format;
mod import;
mod model_file;
mod names;
mod ranged_file;
pub mod tensorflow;
mod torch;

pub use element::{Array, ElementType, Values};
pub use error::{Error, Result};
pub use export::export_torchvision;
pub use format::{
    CheckpointFile, FORMAT_VERSION, LIBRARY_VERSION, Metadata, Preprocessing, SafetensorsReader,
    Source, TensorEntry, newest_first,
};
pub use import::{Heads, ImportOptions, Imported, Origin, Report, Unused, import, recognize};
pub use model_file::{
    LoadedModel, check_architecture, load_encoder, load_model, load_parameters, model_checkpoint,
    save_model,
};
pub use names::{CanonicalNames, canonical_names};
