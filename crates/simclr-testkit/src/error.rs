//! The errors of the test kit.

use std::path::PathBuf;

/// What can go wrong while a test prepares its material or judges a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A golden file could not be read, or is not what its layout promises.
    #[error("{path}: {reason}")]
    Golden {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found, or why it could not be read.
        reason: String,
    },
    /// An analytic gradient differs from the finite difference.
    #[error(
        "gradient of input {input}, element {element}: analytic {analytic:e}, \
         finite difference {numeric:e}"
    )]
    Gradient {
        /// Position of the input in the list.
        input: usize,
        /// Flat index of the element.
        element: usize,
        /// What the backward pass gave.
        analytic: f64,
        /// What the central difference gave.
        numeric: f64,
    },
    /// An input took part in the computation, but got no gradient.
    #[error("input {input} got no gradient")]
    NoGradient {
        /// Position of the input in the list.
        input: usize,
    },
    /// Ranks do not compute what threads compute.
    #[error("ranks: {0}")]
    Ranks(String),
    /// An operation of several ranks failed.
    #[error(transparent)]
    Collective(#[from] simclr_collective::Error),
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// The result of a test helper.
pub type Result<T, E = Error> = std::result::Result<T, E>;
