//! The variables that optimizers update, and where their gradients are found.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

/// A trainable variable with the name that exclusions and saved state go by.
#[derive(Debug, Clone)]
pub struct NamedVariable {
    /// The name, for example `encoder.stem.conv.kernel`.
    pub name: String,
    /// The variable, updated in place.
    pub variable: Var,
}

impl<N: Into<String>> From<(N, Var)> for NamedVariable {
    fn from((name, variable): (N, Var)) -> Self {
        let name = name.into();
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
