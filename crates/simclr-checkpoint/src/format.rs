//! Our file format: safetensors with documented metadata.

mod container;
mod metadata;
mod reader;
mod writer;

pub use container::{CheckpointFile, newest_first};
pub use metadata::{FORMAT_VERSION, LIBRARY_VERSION, Metadata, Preprocessing, Source};
pub use reader::{SafetensorsReader, TensorEntry};
pub(crate) use writer::{TensorPlan, write_safetensors};
