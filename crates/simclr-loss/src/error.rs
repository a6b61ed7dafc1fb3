//! The errors of the losses.

/// What can be wrong with the inputs of a loss.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The temperature cannot divide similarities.
    #[error("{operation}: the temperature must be a finite number above 0, got {temperature}")]
    Temperature {
        /// The loss.
        operation: &'static str,
        /// What was given.
        temperature: f64,
    },
    /// A tensor has a shape that the loss is not defined for.
    #[error("{operation}: expected {expected}, got shape {shape:?}")]
    Shape {
        /// The loss.
        operation: &'static str,
        /// What was expected.
        expected: String,
        /// What was given.
        shape: Vec<usize>,
    },
    /// A label names no class.
    #[error("{operation}: label {label} of sample {sample}, but the logits have {classes} classes")]
    Label {
        /// The loss.
        operation: &'static str,
        /// The row.
        sample: usize,
        /// Its label.
        label: u32,
        /// The number of columns of the logits.
        classes: usize,
    },
    /// A weight between two losses is not a share.
    #[error("{operation}: expected a weight between 0 and 1, got {weight}")]
    Weight {
        /// The loss.
        operation: &'static str,
        /// What was given.
        weight: f64,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// The result of a loss.
pub type Result<T, E = Error> = std::result::Result<T, E>;

pub(crate) fn check_temperature(operation: &'static str, temperature: f64) -> Result<()> {
    // Below the smallest f32, dividing by it would give infinities.
    if temperature.is_finite() && temperature as f32 >= f32::MIN_POSITIVE {
        return Ok(());
    }
    Err(Error::Temperature {
        operation,
        temperature,
    })
}
