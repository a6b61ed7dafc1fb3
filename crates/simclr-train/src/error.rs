//! The errors of training, recording and reporting.

use std::path::{Path, PathBuf};

/// What can go wrong while a network is trained or a run is recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A JSON file could not be read or written.
    #[error("{path}: {source}")]
    Json {
        /// The file, or the name of what was to be serialised.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A file of a run folder is not what it should be.
    #[error("{path}: {reason}")]
    RunFile {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// A run folder belongs to a run with other settings or other data.
    #[error(
        "{dir} holds a run with another configuration; take another folder, or the recorded \
         values: {}",
        differences.join("; ")
    )]
    RunDiffers {
        /// The run folder.
        dir: PathBuf,
        /// One line per field: its path, the recorded value and the value now.
        differences: Vec<String>,
    },
    /// Another process is writing to the run folder.
    #[error("{dir} is in use by another process, which holds the lock on {}", lock.display())]
    RunLocked {
        /// The run folder.
        dir: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// A row does not fit the metrics file.
    #[error("{path}: {reason}")]
    MetricsRow {
        /// The metrics file.
        path: PathBuf,
        /// What the row holds and what was expected.
        reason: String,
    },
}

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// For `map_err`: an input/output error together with the path it is about.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// For `map_err`: a JSON error together with the path it is about.
    pub(crate) fn json(path: &Path) -> impl FnOnce(serde_json::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Json { path, source }
    }
}
