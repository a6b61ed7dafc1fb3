//! The errors of the models.

use crate::LoadReport;

/// Why a model could not be described, built, filled or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration value is out of its range.
    #[error("{field} = {value}: expected {expected}")]
    Config {
        /// The configuration's field.
        field: &'static str,
        /// Its value.
        value: String,
        /// The values that are possible.
        expected: String,
    },
    /// An input has the wrong shape.
    #[error("{layer}: input of shape {shape:?}, expected {expected}")]
    Input {
        /// The module that got it.
        layer: &'static str,
        /// The input's shape.
        shape: Vec<usize>,
        /// The shape that was expected.
        expected: String,
    },
    /// An image would vanish before the network's last stage.
    #[error(
        "image of {height} x {width} pixels: {network} halves it {halvings} times \
         and needs at least {minimum} x {minimum}"
    )]
    ImageTooSmall {
        /// The image's height.
        height: usize,
        /// The image's width.
        width: usize,
        /// The network.
        network: String,
        /// How often the network halves its maps.
        halvings: u32,
        /// The smallest side that can be halved that often.
        minimum: usize,
    },
    /// Two parameters share one name.
    #[error("parameter {0} is there twice")]
    DuplicateParameter(String),
    /// Stored tensors and parameters do not match one to one.
    #[error("the tensors do not fit the model: {0}")]
    Mismatch(Box<LoadReport>),
    /// A kernel refused its input.
    #[error(transparent)]
    Kernel(#[from] simclr_kernels::Error),
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
