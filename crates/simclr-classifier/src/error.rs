//! The errors of classifier files.

use std::path::PathBuf;

/// What can go wrong while a classifier is made, saved, loaded or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that is no classifier, or is damaged, or of a later format.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// A setting is out of range.
    #[error("{setting}: expected {expected}, found {found}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// The values it may have.
        expected: String,
        /// The value it has.
        found: String,
    },
    /// Features cannot be extracted, or a head not be fitted.
    #[error(transparent)]
    Eval(#[from] simclr_eval::Error),
    /// A file cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] simclr_checkpoint::Error),
    /// The images cannot be read.
    #[error(transparent)]
    Data(#[from] simclr_data::Error),
    /// The network cannot be built or run.
    #[error(transparent)]
    Model(#[from] simclr_model::Error),
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn setting(
        setting: &'static str,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        Self::Setting {
            setting,
            expected: expected.into(),
            found: found.to_string(),
        }
    }
}
