#![doc = include_str!("../README.md")]
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
mod other_formats;
mod pickle;
mod ranged_file;
mod setters;
#[cfg(feature = "tensorflow")]
pub mod tensorflow;
mod torch;
mod value_check;

pub use candle_core;

pub use element::{Array, ElementType, Values};
pub use error::{Error, Result};
pub use export::{check_torchvision, export_torchvision, export_torchvision_with};
pub use format::container::CheckpointFile;
pub use format::metadata::{FORMAT_VERSION, LIBRARY_VERSION, Metadata, Preprocessing, Source};
pub use format::options::SaveOptions;
pub use format::reader::{SafetensorsReader, TensorEntry};
#[cfg(feature = "tensorflow")]
pub use import::recognize;
pub use import::{
    Heads, ImportOptions, Imported, Origin, Report, SourceFile, Unused, import, import_with,
    networks,
};
pub use model_file::{
    LoadNetwork, LoadedModel, add_state, check_architecture, load_model, load_parameters,
    model_checkpoint, save_model,
};
#[cfg(feature = "tensorflow")]
pub use names::{CanonicalNames, canonical_names};
pub use pickle::{PickleReader, PickledTensor};
pub use value_check::check_values;
