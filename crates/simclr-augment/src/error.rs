use std::fmt::Display;
use std::sync::Arc;

use crate::crop_box::CropBox;

/// What can go wrong in an image operation or an augmentation.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option or argument outside its range.
    #[error("{name} must be {expected}, found {found}")]
    Setting {
        /// The option, such as `color_jitter.strength`.
        name: &'static str,
        /// Its range, in words.
        expected: &'static str,
        /// Its value.
        found: String,
    },
    /// A buffer that does not hold one value per pixel and channel.
    #[error(
        "an image of {height} x {width} pixels needs {expected} values ({channels} per pixel), \
         found {found}"
    )]
    ValueCount {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Values per pixel.
        channels: usize,
        /// Values that an image of this size has.
        expected: usize,
        /// Values that were given.
        found: usize,
    },
    /// A crop box that leaves its image or is empty.
    #[error("the crop box {crop_box} does not lie inside an image of {height} x {width} pixels")]
    BoxOutside {
        /// The box.
        crop_box: CropBox,
        /// The image's rows.
        height: usize,
        /// The image's columns.
        width: usize,
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
}

/// Fails with [`Error::Setting`] unless the value is valid.
pub(crate) fn check(
    is_valid: bool,
    name: &'static str,
    expected: &'static str,
    found: impl Display,
) -> Result<()> {
    if is_valid {
        return Ok(());
    }
    let found = found.to_string();
    Err(Error::Setting {
        name,
        expected,
        found,
    })
}

pub(crate) fn check_probability(name: &'static str, probability: f64) -> Result<()> {
    let is_valid = (0.0..=1.0).contains(&probability);
    check(is_valid, name, "within [0, 1]", probability)
}

/// Fails unless `range` = (smallest, largest) is not empty and positive, and ends at `limit` at
/// the latest.
pub(crate) fn check_range(
    name: &'static str,
    range: (f64, f64),
    limit: f64,
    expected: &'static str,
) -> Result<()> {
    let (low, high) = range;
    let is_valid = low > 0.0 && low <= high && high <= limit;
    check(is_valid, name, expected, format_args!("{low}..{high}"))
}

/// The result of an image operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;
