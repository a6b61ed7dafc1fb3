//! Adam.

use std::collections::BTreeMap;

use candle_core::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::fused::{for_each_element, in_place};
use super::slots::{Book, Slots, Update};
use super::{
    Gradients, NamedVariable, Optimizer, check_fraction, check_learning_rate, check_not_negative,
};
use crate::Result;

/// The settings of [`Adam`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdamConfig {
    /// The decay of the first moment. Default 0.9.
    pub beta1: f64,
    /// The decay of the second moment. Default 0.999.
    pub beta2: f64,
    /// Joins the root of the second moment. Default 1e-7, as in Keras.
    pub epsilon: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-7,
        }
    }
}

/// Adam (Kingma, Ba 2015) as in Keras: the bias correction sits in the rate, outside epsilon.
///
/// ```text
/// m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2
/// w <- w - r sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon)     t = 1, 2, ...
/// ```
#[derive(Debug)]
pub struct Adam {
    config: AdamConfig,
    book: Book<2>,
}

impl Adam {
    /// Adam over these variables.
    ///
    /// # Errors
    /// A name that occurs twice; a beta outside [0, 1); a negative epsilon.
    pub fn new<V: Into<NamedVariable>>(
        variables: impl IntoIterator<Item = V>,
        config: AdamConfig,
    ) -> Result<Self> {
        check_fraction("beta1", config.beta1)?;
        check_fraction("beta2", config.beta2)?;
        check_not_negative("epsilon", config.epsilon)?;
        Ok(Self {
            config,
            book: Book::new(variables, ["first_moment", "second_moment"])?,
        })
    }

    /// The settings.
    pub fn config(&self) -> &AdamConfig {
        &self.config
    }

    fn corrected(&self, learning_rate: f64) -> f64 {
        let step = (self.book.steps + 1) as f64;
        let AdamConfig { beta1, beta2, .. } = self.config;
        learning_rate * (1.0 - beta2.powf(step)).sqrt() / (1.0 - beta1.powf(step))
    }
}

impl Optimizer for Adam {
    fn step(&mut self, gradients: &dyn Gradients, learning_rate: f64) -> Result<()> {
        check_learning_rate(learning_rate)?;
        let rate = self.corrected(learning_rate);
        let config = &self.config;
        self.book.entries.par_iter_mut().try_for_each(|entry| {
            match entry.prepare(gradients)? {
                Some(update) => apply(config, rate, update),
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

fn apply(config: &AdamConfig, rate: f64, update: Update<'_, 2>) -> Result<()> {
    let Update {
        variable,
        gradient,
        slots,
    } = update;
    match slots {
        Slots::Host([first, second]) => {
            let keep = [config.beta1 as f32, config.beta2 as f32];
            let take = [(1.0 - config.beta1) as f32, (1.0 - config.beta2) as f32];
            let (rate, epsilon) = (rate as f32, config.epsilon as f32);
            in_place(variable, &gradient, |weight, gradient| {
                for_each_element(
                    weight,
                    [first.as_mut_slice(), second.as_mut_slice()],
                    gradient,
                    |w, [m, v], g| {
                        *m = keep[0] * *m + take[0] * g;
                        *v = keep[1] * *v + take[1] * (g * g);
                        *w -= rate * *m / (v.sqrt() + epsilon);
                    },
                );
            })?;
        }
        Slots::Device([first, second]) => {
            let next_first =
                ((first.clone() * config.beta1)? + (&gradient * (1.0 - config.beta1))?)?;
            let next_second =
                ((second.clone() * config.beta2)? + (gradient.sqr()? * (1.0 - config.beta2))?)?;
            let update = ((&next_first * rate)? / (next_second.sqrt()? + config.epsilon)?)?;
            variable.set(&(variable.as_detached_tensor() - update)?)?;
            (*first, *second) = (next_first, next_second);
        }
    }
    Ok(())
}
