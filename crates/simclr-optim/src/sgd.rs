//! Stochastic gradient descent with momentum.

use std::collections::BTreeMap;

use candle_core::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::fused::{for_each_element, in_place};
use super::slots::{Book, Slots, Update};
use super::{Gradients, NamedVariable, Optimizer, check_fraction, check_learning_rate};
use crate::Result;

/// The settings of [`Sgd`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
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

/// Momentum SGD as in Keras.
///
/// ```text
/// v <- m v - r g;  w <- w + v          (Nesterov: w + (m v - r g))
/// ```
#[derive(Debug)]
pub struct Sgd {
    config: SgdConfig,
    book: Book<1>,
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
        check_fraction("momentum", config.momentum)?;
        Ok(Self {
            config,
            book: Book::new(variables, ["velocity"])?,
        })
    }

    /// The settings.
    pub fn config(&self) -> &SgdConfig {
        &self.config
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, gradients: &dyn Gradients, learning_rate: f64) -> Result<()> {
        check_learning_rate(learning_rate)?;
        let config = &self.config;
        self.book.entries.par_iter_mut().try_for_each(|entry| {
            match entry.prepare(gradients)? {
                Some(update) => apply(config, learning_rate, update),
                None => Ok(()),
            }
        })?;
        self.book.steps += 1;
        Ok(())
    }

    fn variables(&self) -> Vec<&NamedVariable> {
        self.book.variables()
    }

    fn steps_taken(&self) -> u64 {
        self.book.steps
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        self.book.state()
    }

    fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        self.book.load_state(state)
    }
}

fn apply(config: &SgdConfig, learning_rate: f64, update: Update<'_, 1>) -> Result<()> {
    let Update {
        variable,
        gradient,
        slots,
    } = update;
    match slots {
        Slots::Host([velocity]) => {
            let (momentum, rate) = (config.momentum as f32, learning_rate as f32);
            in_place(variable, &gradient, |weight, gradient| {
                let slots = [velocity.as_mut_slice()];
                if config.nesterov {
                    for_each_element(weight, slots, gradient, |w, [v], g| {
                        let v = momentum * v - rate * g;
                        (w + (momentum * v - rate * g), [v], [])
                    });
                } else {
                    for_each_element(weight, slots, gradient, |w, [v], g| {
                        let v = momentum * v - rate * g;
                        (w + v, [v], [])
                    });
                }
            })?;
        }
        Slots::Device([velocity]) => {
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
