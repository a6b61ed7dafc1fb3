//! The errors of this crate: each one names the file it is about.

use std::path::{Path, PathBuf};

/// What can go wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] simclr_files::Error),
    /// The file is damaged or of another format.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// Stored and computed checksums differ: the bytes have changed since they were written.
    #[error("{path}: {what}: checksum {computed:08x}, the file says {stored:08x}")]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The block or variable.
        what: String,
        /// CRC-32C in the file.
        stored: u32,
        /// CRC-32C of the bytes that are there.
        computed: u32,
    },
    /// The file is sound, but this crate does not read what it holds.
    #[error("{path}: {what} is not supported: {reason}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The variable or feature.
        what: String,
        /// Why, and what would be.
        reason: String,
    },
    /// There is no variable of this name.
    #[error("{path}: no variable `{name}`{hint}")]
    NotFound {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        name: String,
        /// Names that are close, if any.
        hint: String,
    },
    /// The variables are not those of the network that they resemble most.
    #[error("{path}: does not fit {network}: {differences}")]
    DoesNotFit {
        /// The file.
        path: PathBuf,
        /// The closest network.
        network: String,
        /// What is missing, left over or of another shape.
        differences: String,
    },
    /// The network cannot be built, or the tensors do not fill it.
    #[error("{path}: {source}")]
    Model {
        /// The file.
        path: PathBuf,
        /// The model's reason.
        source: Box<simclr_model::Error>,
    },
    /// The file holds another network than the one that was expected.
    #[error("{path}: another architecture: {differences}")]
    Architecture {
        /// The file.
        path: PathBuf,
        /// Each setting that differs, in the file and as expected.
        differences: String,
    },
    /// A tensor operation failed.
    #[error("{path}: {source}")]
    Tensor {
        /// The file.
        path: PathBuf,
        /// Candle's reason.
        source: candle_core::Error,
    },
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn malformed(path: &Path, reason: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    pub(crate) fn model(path: &Path) -> impl FnOnce(simclr_model::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Model {
            path,
            source: Box::new(source),
        }
    }

    pub(crate) fn tensor(path: &Path) -> impl FnOnce(candle_core::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Tensor { path, source }
    }
}
