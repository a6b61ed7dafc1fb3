//! The errors of the models.

use crate::load_report::LoadReport;

/// Why a model could not be described, built, filled or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of its range.
    #[error("{name} = {found}: expected {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// The values that are possible.
        expected: String,
        /// Its value.
        found: String,
    },
    /// An input has the wrong shape.
    #[error("{layer}: input of shape {found:?}, expected {expected}")]
    Input {
        /// The module that got it.
        layer: &'static str,
        /// The shape that was expected.
        expected: String,
        /// The input's shape.
        found: Vec<usize>,
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
