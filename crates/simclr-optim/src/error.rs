//! The errors of optimizers and schedules.

/// What can go wrong while variables are updated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is outside of what it may be.
    #[error("{setting}: expected {expected}, found {found}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What it may be.
        expected: String,
        /// What it was.
        found: String,
    },
    /// Saved optimizer state does not belong to this optimizer and these variables.
    #[error("optimizer state `{key}`: {reason}")]
    OptimizerState {
        /// The entry.
        key: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A setting that is outside of what it may be.
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
