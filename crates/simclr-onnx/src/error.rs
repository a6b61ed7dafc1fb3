//! What can go wrong.

use std::path::PathBuf;

/// What can go wrong when a network is written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be written.
    #[error(transparent)]
    File(#[from] simclr_files::Error),
    /// The network's configuration, or the image's size, is not possible.
    #[error(transparent)]
    Model(#[from] simclr_model::Error),
    /// The values could not be read from their tensors.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// An ONNX file holds no more than 2 GB.
    #[error("{path}: {bytes} bytes of values, expected at most {most}, which a file of ONNX holds")]
    TooLarge {
        /// The file that was to be written.
        path: PathBuf,
        /// The bytes of all values.
        bytes: u64,
        /// The bytes that there is room for.
        most: u64,
    },
    /// The network lacks a parameter that its configuration promises.
    #[error("the network has no parameter `{name}`")]
    NoParameter {
        /// The parameter.
        name: String,
    },
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
