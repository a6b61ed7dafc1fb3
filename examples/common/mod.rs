//! Options that several examples share, named as the original's flags.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use simclr::prelude::*;

/// How the rate grows with the batch.
#[derive(Clone, Copy, ValueEnum)]
pub enum Scaling {
    /// Rate x batch / 256.
    Linear,
    /// Rate x the square root of the batch.
    Sqrt,
}

/// The optimizers of the original.
#[derive(Clone, Copy, ValueEnum)]
pub enum OptimizerName {
    /// Layer-wise adaptive rates.
    Lars,
    /// SGD with Nesterov momentum.
    Momentum,
    /// Adam.
    Adam,
}
