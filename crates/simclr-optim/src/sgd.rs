//! Stochastic gradient descent with momentum.

use serde::{Deserialize, Serialize};

use crate::elementwise::{for_each_element, in_place};
use crate::error::check_fraction;
use crate::setters::setters;
use crate::state::{Buffers, OptimizerState, Update, forward_to_state};
use crate::{Gradients, NamedVariable, Optimizer, Result};

/// The settings of [`Sgd`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[must_use]
pub struct SgdConfig {
    /// Momentum. Default 0.9.
    pub momentum: f64,
    /// Nesterov's form of momentum. Default true.
    pub nesterov: bool,
}

impl Default for SgdConfig {
    fn default() -> Self {
        Self {
            momentum: 0.9,
            nesterov: true,
        }
    }
}

impl SgdConfig {
    setters! {
        with_momentum(momentum: f64);
        with_nesterov(nesterov: bool);
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// Momentum outside [0, 1).
    pub fn validate(&self) -> Result<()> {
        check_fraction("momentum", self.momentum)
    }
}

/// Momentum SGD as in Keras.
///
/// ```text
/// v <- m v - r g;  w <- w + v          (Nesterov: w + (m v - r g))
/// ```
#[derive(Debug)]
pub struct Sgd {
    config: SgdConfig,
    state: OptimizerState<1>,
}

impl Sgd {
    /// Momentum SGD over these variables.
    ///
    /// # Errors
    /// A name that occurs twice; momentum outside [0, 1).
    pub fn new<V: Into<NamedVariable>>(
        variables: impl IntoIterator<Item = V>,
        config: SgdConfig,
    ) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            config,
            state: OptimizerState::new(variables, ["velocity"])?,
        })
    }

    /// The settings.
    pub fn config(&self) -> &SgdConfig {
        &self.config
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, gradients: &dyn Gradients, learning_rate: f64) -> Result<()> {
        let config = &self.config;
        self.state.update(gradients, learning_rate, |update| {
            apply(config, learning_rate, update)
        })
    }

    forward_to_state!();
}

fn apply(config: &SgdConfig, learning_rate: f64, update: Update<'_, 1>) -> Result<()> {
    let (variable, gradient) = (&update.named.variable, update.gradient);
    match update.buffers {
        Buffers::Host([velocity]) => {
            let (momentum, rate) = (config.momentum as f32, learning_rate as f32);
            in_place(variable, &gradient, |weight, gradient| {
                let buffers = [velocity.as_mut_slice()];
                if config.nesterov {
                    for_each_element(weight, buffers, gradient, |w, [v], g| {
                        let v = momentum * v - rate * g;
                        (w + (momentum * v - rate * g), [v], [])
                    });
                } else {
                    for_each_element(weight, buffers, gradient, |w, [v], g| {
                        let v = momentum * v - rate * g;
                        (w + v, [v], [])
                    });
                }
            })?;
        }
        Buffers::Device([velocity]) => {
            let scaled = (gradient * learning_rate)?;
            let next = ((velocity.clone() * config.momentum)? - &scaled)?;
            let update = if config.nesterov {
                ((&next * config.momentum)? - &scaled)?
            } else {
                next.clone()
            };
            variable.set(&(variable.as_detached_tensor() + update)?)?;
            *velocity = next;
        }
    }
    Ok(())
}
