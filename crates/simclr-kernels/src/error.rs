//! The errors of the kernels.

use candle_core::DType;

/// What can go wrong in an op.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The sizes of the inputs do not fit together.
    #[error("{op}: expected {expected}, found {found}")]
    Shape {
        /// The op.
        op: &'static str,
        /// What would have fitted.
        expected: String,
        /// The shapes or values given.
        found: String,
    },
    /// A tensor has an element type that the op cannot compute with.
    #[error("{op}: expected {expected}, found {found}")]
    DType {
        /// The op.
        op: &'static str,
        /// Which tensor, and the element types that would have been accepted.
        expected: String,
        /// The tensor's element type.
        found: String,
    },
    /// A setting is out of its range.
    #[error("{name}: expected {expected}, found `{found}`")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What would have been accepted.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A batch norm over several ranks did not come about.
    #[error(transparent)]
    Ranks(#[from] simclr_collective::Error),
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// The result of an op.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn setting(name: &'static str, expected: impl Into<String>, found: &str) -> Self {
        Self::Setting {
            name,
            expected: expected.into(),
            found: found.to_owned(),
        }
    }

    pub(crate) fn shape(
        op: &'static str,
        expected: impl Into<String>,
        found: impl std::fmt::Debug,
    ) -> Self {
        Self::Shape {
            op,
            expected: expected.into(),
            found: format!("{found:?}"),
        }
    }

    pub(crate) fn dtype(op: &'static str, expected: impl Into<String>, found: DType) -> Self {
        Self::DType {
            op,
            expected: expected.into(),
            found: found.as_str().to_owned(),
        }
    }
}
