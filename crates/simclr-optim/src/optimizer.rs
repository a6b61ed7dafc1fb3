//! LARS, momentum SGD and Adam over named variables, with state that can be
//! saved and restored.
//!
//! Every optimizer reads its learning rate from the caller at each step (see
//! [`schedule`](crate::WarmupCosine)), keeps its slots per variable, and makes a
//! slot when a variable first receives a gradient: a variable that never does
//! has none, as in the original.

mod adam;
mod fused;
mod lars;
mod sgd;
mod slots;

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

pub use adam::{Adam, AdamConfig};
pub use lars::{Lars, LarsConfig, MomentumForm, default_exclusions};
pub use sgd::{Sgd, SgdConfig};

use crate::{Error, Result};

/// A trainable variable with the name that exclusions and saved state go by.
#[derive(Debug, Clone)]
pub struct NamedVariable {
    /// The name, for example `encoder.stem.conv.kernel`.
    pub name: String,
    /// The variable, updated in place.
    pub variable: Var,
}

impl From<(String, Var)> for NamedVariable {
    fn from((name, variable): (String, Var)) -> Self {
        Self { name, variable }
    }
}

/// Where an optimizer finds the gradient of a variable.
pub trait Gradients: Sync {
    /// The gradient, or `None` if the loss does not depend on the variable.
    fn of(&self, variable: &NamedVariable) -> Option<&Tensor>;
}

impl Gradients for GradStore {
    fn of(&self, variable: &NamedVariable) -> Option<&Tensor> {
        self.get(variable.variable.as_tensor())
    }
}

/// Gradients by name, as summed over several backward passes.
impl Gradients for BTreeMap<String, Tensor> {
    fn of(&self, variable: &NamedVariable) -> Option<&Tensor> {
        self.get(&variable.name)
    }
}

/// Updates variables by their gradients.
pub trait Optimizer: Send {
    /// Takes one step with the given learning rate. Variables without a
    /// gradient stay as they are, slots included.
    ///
    /// # Errors
    /// A learning rate that is not finite, or a gradient of another shape than its variable.
    fn step(&mut self, gradients: &dyn Gradients, learning_rate: f64) -> Result<()>;

    /// The variables, in the order they were given.
    fn variables(&self) -> Vec<&NamedVariable>;

    /// How many steps have been taken.
    fn steps_taken(&self) -> u64;

    /// Everything needed to go on later: one tensor per existing slot, named
    /// `<variable>.<slot>`, and the step counter `optimizer.step` (a scalar of type i64).
    fn state(&self) -> Result<BTreeMap<String, Tensor>>;

    /// Replaces the state by a saved one. Nothing changes if it does not fit.
    ///
    /// # Errors
    /// An entry that belongs to no variable and slot of this optimizer, a
    /// slot of another shape, or a missing step counter.
    fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()>;
}

/// The choice of optimizer, as a value that can be stored with a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OptimizerConfig {
    /// Layer-wise adaptive rate scaling, the original's choice for pretraining.
    Lars(LarsConfig),
    /// Stochastic gradient descent with Nesterov momentum.
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
    /// Checks the settings and makes the optimizer of these variables.
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

fn check_learning_rate(learning_rate: f64) -> Result<()> {
    if learning_rate.is_finite() {
        return Ok(());
    }
    Err(Error::setting(
        "learning rate",
        "a finite number",
        learning_rate,
    ))
}

fn check_fraction(setting: &'static str, value: f64) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::setting(setting, "at least 0 and less than 1", value))
}

fn check_not_negative(setting: &'static str, value: f64) -> Result<()> {
    if value >= 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::setting(
        setting,
        "a finite number, at least 0",
        value,
    ))
}
