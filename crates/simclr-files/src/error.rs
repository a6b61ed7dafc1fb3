//! The errors of reading and writing files.

use std::path::{Path, PathBuf};

use crate::forms::describe_forms;

/// What can go wrong while a file is read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{}: {reason}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        reason: std::io::Error,
    },
    /// A JSON file could not be read or written.
    #[error("{}: {reason}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: serde_json::Error,
    },
    /// A file of a later version of this library.
    #[error("{}: format version {found}; this library reads versions 1 and {known}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version of the file's form.
        found: String,
        /// The newest one that is known.
        known: u64,
    },
    /// A file's content is not the one that was written.
    #[error(
        "{}: damaged: its SHA-256 is {computed}, and it was written with {stored}",
        path.display()
    )]
    Digest {
        /// The file.
        path: PathBuf,
        /// The digest in the file.
        stored: String,
        /// The digest of what is in the file.
        computed: String,
    },
    /// A damaged file, and what can be done about it.
    #[error("{error}; {advice}")]
    Damaged {
        /// What is wrong with it.
        error: Box<Self>,
        /// What to do.
        advice: String,
    },
    /// Two files that a name in another Unicode form can mean.
    #[error("{}: {}; rename one of them", folder.display(), describe_forms(first, second))]
    SameName {
        /// The folder that they are in.
        folder: PathBuf,
        /// One name.
        first: String,
        /// The other.
        second: String,
    },
}

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// For `map_err`: an input/output error together with the path it is about.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |reason| Self::Io { path, reason }
    }

    /// For `map_err`: what to do about the file, if it is damaged. Other errors stay as they are.
    pub fn advise(advice: impl Into<String>) -> impl FnOnce(Self) -> Self {
        move |error| match error {
            Self::Json { .. } | Self::Digest { .. } => Self::Damaged {
                error: Box::new(error),
                advice: advice.into(),
            },
            error => error,
        }
    }

    /// For `map_err`: a JSON error together with the path it is about.
    pub fn json(path: &Path) -> impl FnOnce(serde_json::Error) -> Self + use<> {
        let path = path.to_owned();
        move |reason| Self::Json { path, reason }
    }
}
