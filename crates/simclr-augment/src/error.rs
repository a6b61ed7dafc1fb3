//! The errors of image operations and policies.

use std::sync::Arc;

use crate::ops::CropBox;

/// What can go wrong in an image operation or a policy.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A buffer does not have one value per pixel and channel.
    #[error(
        "{op}: a {height} x {width} image needs {expected} values ({channels} per pixel), got {got}"
    )]
    ValueCount {
        /// The operation.
        op: &'static str,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Values per pixel.
        channels: usize,
        /// Values that an image of this size has.
        expected: usize,
        /// Values that were given.
        got: usize,
    },
    /// An image without pixels, or with more than memory can address.
    #[error(
        "{op}: an image of {height} x {width} pixels is not possible; both sides must be at least 1 \
         and the whole must fit in memory"
    )]
    Dimensions {
        /// The operation.
        op: &'static str,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// A crop box that leaves its image or is empty.
    #[error("{op}: the box {window} does not lie inside an image of {height} x {width} pixels")]
    BoxOutside {
        /// The operation.
        op: &'static str,
        /// The box.
        window: CropBox,
        /// The image's rows.
        height: usize,
        /// The image's columns.
        width: usize,
    },
    /// A parameter outside its range.
    #[error("{op}: {name} must be {expected}, got {got}")]
    Parameter {
        /// The operation or policy part.
        op: &'static str,
        /// The parameter.
        name: &'static str,
        /// Its range, in words.
        expected: &'static str,
        /// Its value.
        got: String,
    },
    /// An error of an [`Augmentation`](crate::Augmentation) outside of this crate.
    #[error(transparent)]
    Custom(Arc<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Wraps the error of an [`Augmentation`](crate::Augmentation) outside of this crate.
    pub fn custom(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Custom(Arc::new(error))
    }

    /// A parameter out of range, in the form that most checks need.
    pub(crate) fn parameter(
        op: &'static str,
        name: &'static str,
        expected: &'static str,
        got: impl std::fmt::Display,
    ) -> Self {
        Self::Parameter {
            op,
            name,
            expected,
            got: got.to_string(),
        }
    }
}

/// The result of an image operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;
