//! Our file format: safetensors with documented metadata.

pub(crate) mod container;
pub(crate) mod metadata;
pub(crate) mod options;
pub(crate) mod reader;
pub(crate) mod shards;
pub(crate) mod writer;
