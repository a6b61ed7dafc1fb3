//! The original's words for optimizers and for the scaling of learning rates.

use clap::ValueEnum;
use simclr_optim::{AdamConfig, LarsConfig, LearningRateScaling, OptimizerConfig, SgdConfig};

/// How the learning rate grows with the batch.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Scaling {
    /// In proportion: rate x batch / 256.
    Linear,
    /// With its square root: rate x sqrt(batch); good for small batches.
    Sqrt,
}

impl From<Scaling> for LearningRateScaling {
    fn from(scaling: Scaling) -> Self {
        match scaling {
            Scaling::Linear => Self::Linear,
            Scaling::Sqrt => Self::Sqrt,
        }
    }
}

/// The optimizers of the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OptimizerName {
    /// Layer-wise adaptive rates.
    Lars,
    /// SGD with Nesterov momentum.
    Momentum,
    /// Adam.
    Adam,
}

impl OptimizerName {
    /// The optimizer with this momentum, where it has one.
    pub(crate) fn config(self, momentum: f64) -> OptimizerConfig {
        match self {
            Self::Lars => OptimizerConfig::Lars(LarsConfig::default().with_momentum(momentum)),
            Self::Momentum => {
                OptimizerConfig::Momentum(SgdConfig::default().with_momentum(momentum))
            }
            Self::Adam => OptimizerConfig::Adam(AdamConfig::default()),
        }
    }
}
