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

    pub(crate) fn tensor(path: &Path) -> impl FnOnce(candle_core::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Tensor { path, source }
    }
}
