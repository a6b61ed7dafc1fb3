//! The choice of optimizer as a value.

use serde::{Deserialize, Serialize};

use crate::{Adam, AdamConfig, Lars, LarsConfig, NamedVariable, Optimizer, Result, Sgd, SgdConfig};

/// The choice of optimizer, as a value that can be stored with a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
#[must_use]
pub enum OptimizerConfig {
    /// Layer-wise adaptive rate scaling, the original's choice for pretraining.
    Lars(LarsConfig),
    /// Stochastic gradient descent with momentum.
    Momentum(SgdConfig),
    /// Adam.
    Adam(AdamConfig),
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::Lars(LarsConfig::default())
    }
}

impl OptimizerConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// The first setting that is out of range.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Lars(config) => config.validate(),
            Self::Momentum(config) => config.validate(),
            Self::Adam(config) => config.validate(),
        }
    }

    /// Sets the weight decay of an optimizer that decays weights by itself, as LARS does;
    /// the others stay as they are.
    pub fn with_weight_decay(self, weight_decay: f64) -> Self {
        match self {
            Self::Lars(config) => Self::Lars(config.with_weight_decay(weight_decay)),
            other => other,
        }
    }

    /// Makes the optimizer of these variables.
    ///
    /// # Errors
    /// The first setting that is out of range; a name that occurs twice.
    pub fn build<V: Into<NamedVariable>>(
        &self,
        variables: impl IntoIterator<Item = V>,
    ) -> Result<Box<dyn Optimizer>> {
        Ok(match self {
            Self::Lars(config) => Box::new(Lars::new(variables, config.clone())?),
            Self::Momentum(config) => Box::new(Sgd::new(variables, config.clone())?),
            Self::Adam(config) => Box::new(Adam::new(variables, config.clone())?),
        })
    }
}
