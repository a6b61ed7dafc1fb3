//! The errors of the kernels.

/// What can go wrong in an op.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The sizes of the inputs do not fit together.
    #[error("{op}: expected {expected}, got {actual}")]
    Shape {
        /// The op.
        op: &'static str,
        /// What would have fitted.
        expected: String,
        /// The shapes or values given.
        actual: String,
    },
    /// A setting is out of its range.
    #[error("{name}: expected {expected}, got `{actual}`")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What would have been accepted.
        expected: String,
        /// What was given.
        actual: String,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// The result of an op.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn setting(name: &'static str, expected: impl Into<String>, actual: &str) -> Self {
        Self::Setting {
            name,
            expected: expected.into(),
            actual: actual.to_owned(),
        }
    }

    pub(crate) fn shape(
        op: &'static str,
        expected: impl Into<String>,
        actual: impl std::fmt::Debug,
    ) -> Self {
        Self::Shape {
            op,
            expected: expected.into(),
            actual: format!("{actual:?}"),
        }
    }
}
