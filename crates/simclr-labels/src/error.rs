//! The errors of labels in files.

use std::path::{Path, PathBuf};

/// What can go wrong while labels are read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] simclr_files::Error),
    /// A class folder could not be read.
    #[error(transparent)]
    Data(#[from] simclr_data::Error),
    /// A file that is not of the format, or contradicts itself.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file or folder.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// Labels that cannot be written in a format.
    #[error("{}: cannot be written: {reason}", path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// For `map_err`: a reason together with the file it is about.
    pub(crate) fn malformed<R: ToString>(path: &Path) -> impl Fn(R) -> Self {
        move |reason| Self::Malformed {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    /// For `map_err`: a reason together with the file that is not written for it.
    pub(crate) fn unwritable<R: ToString>(path: &Path) -> impl Fn(R) -> Self {
        move |reason| Self::Unwritable {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}
