//! The errors of the losses.

use candle_core::DType;

/// What can be wrong with the inputs of a loss.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of its range.
    #[error("{name} = {found}: expected {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// The values that are possible.
        expected: &'static str,
        /// Its value.
        found: String,
    },
    /// A tensor has a shape that the loss is not defined for.
    #[error("{loss}: expected {expected}, found shape {found:?}")]
    Shape {
        /// The loss.
        loss: &'static str,
        /// The shape that was expected.
        expected: String,
        /// The tensor's shape.
        found: Vec<usize>,
    },
    /// A tensor has an element type that the loss is not defined for.
    #[error("{loss}: expected {expected}, found a tensor of {}", found.as_str())]
    DType {
        /// The loss.
        loss: &'static str,
        /// The types that are possible.
        expected: String,
        /// The tensor's type.
        found: DType,
    },
    /// A label names no class.
    #[error("{loss}: label {label} of sample {sample}, but the logits have {classes} classes")]
    Label {
        /// The loss.
        loss: &'static str,
        /// The row.
        sample: usize,
        /// Its label.
        label: i64,
        /// The number of columns of the logits.
        classes: usize,
    },
    /// Other ranks do not take part.
    #[error(transparent)]
    Ranks(#[from] simclr_collective::Error),
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// The result of a loss.
pub type Result<T, E = Error> = std::result::Result<T, E>;

pub(crate) fn check_temperature(temperature: f64) -> Result<()> {
    // Below the smallest f32, dividing by it would give infinities.
    if temperature.is_finite() && temperature as f32 >= f32::MIN_POSITIVE {
        return Ok(());
    }
    Err(Error::Setting {
        name: "temperature",
        expected: "a finite number above 0",
        found: temperature.to_string(),
    })
}
