//! The errors of optimizers and schedules, and the checks of their settings.

/// What can go wrong while variables are updated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
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
    /// An error of an [`Optimizer`](crate::Optimizer) that is implemented elsewhere.
    #[error(transparent)]
    Foreign(#[from] Box<dyn std::error::Error + Send + Sync>),
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

    pub(crate) fn state(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::OptimizerState {
            key: key.into(),
            reason: reason.into(),
        }
    }
}

pub(crate) fn check_fraction(setting: &'static str, value: f64) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        Ok(())
    } else {
        Err(Error::setting(setting, "at least 0 and less than 1", value))
    }
}

pub(crate) fn check_not_negative(setting: &'static str, value: f64) -> Result<()> {
    if value >= 0.0 && value.is_finite() {
        Ok(())
    } else {
        Err(Error::setting(
            setting,
            "a finite number, at least 0",
            value,
        ))
    }
}

pub(crate) fn check_positive(setting: &'static str, value: usize) -> Result<()> {
    if value > 0 {
        Ok(())
    } else {
        Err(Error::setting(setting, "at least 1", value))
    }
}

pub(crate) fn check_count(setting: &'static str, value: usize, most: usize) -> Result<()> {
    check_positive(setting, value)?;
    if value <= most {
        Ok(())
    } else {
        Err(Error::setting(setting, format!("at most {most}"), value))
    }
}
