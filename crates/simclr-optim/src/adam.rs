//! Adam.

use serde::{Deserialize, Serialize};

use crate::elementwise::{for_each_element, in_place};
use crate::error::{check_fraction, check_not_negative};
use crate::setters::setters;
use crate::state::{Buffers, OptimizerState, Update, forward_to_state};
use crate::{Gradients, NamedVariable, Optimizer, Result};

/// The settings of [`Adam`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[must_use]
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

impl AdamConfig {
    setters! {
        with_beta1(beta1: f64);
        with_beta2(beta2: f64);
        with_epsilon(epsilon: f64);
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// A beta outside [0, 1); a negative epsilon.
    pub fn validate(&self) -> Result<()> {
        check_fraction("beta1", self.beta1)?;
        check_fraction("beta2", self.beta2)?;
        check_not_negative("epsilon", self.epsilon)
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
    state: OptimizerState<2>,
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
        config.validate()?;
        Ok(Self {
            config,
            state: OptimizerState::new(variables, ["first_moment", "second_moment"])?,
        })
    }

    /// The settings.
    pub fn config(&self) -> &AdamConfig {
        &self.config
    }
}

impl Optimizer for Adam {
    fn step(&mut self, gradients: &dyn Gradients, learning_rate: f64) -> Result<()> {
        let config = &self.config;
        self.state.update(gradients, learning_rate, |update| {
            apply(config, learning_rate, update)
        })
    }

    forward_to_state!();
}

fn apply(config: &AdamConfig, learning_rate: f64, update: Update<'_, 2>) -> Result<()> {
    let (variable, gradient, step) = (&update.named.variable, update.gradient, update.step);
    match update.buffers {
        Buffers::Host([first, second]) => in_place(variable, &gradient, |weight, gradient| {
            let buffers = [first.as_mut_slice(), second.as_mut_slice()];
            update_f32(config, learning_rate, step, weight, buffers, gradient);
        })?,
        Buffers::Device([first, second]) => {
            let AdamConfig {
                beta1,
                beta2,
                epsilon,
            } = *config;
            let correction =
                (1.0 - beta2.powf(step as f64)).sqrt() / (1.0 - beta1.powf(step as f64));
            let next_first = ((first.clone() * beta1)? + (&gradient * (1.0 - beta1))?)?;
            let next_second = ((second.clone() * beta2)? + (gradient.sqr()? * (1.0 - beta2))?)?;
            let update =
                ((&next_first * (learning_rate * correction))? / (next_second.sqrt()? + epsilon)?)?;
            variable.set(&(variable.as_detached_tensor() - update)?)?;
            (*first, *second) = (next_first, next_second);
        }
    }
    Ok(())
}

fn update_f32(
    config: &AdamConfig,
    learning_rate: f64,
    step: u64,
    weight: &mut [f32],
    buffers: [&mut [f32]; 2],
    gradient: &[f32],
) {
    // `1 - beta` of a beta already rounded to f32, as Keras has it: for .999 it
    // is 1.3e-5 off, which the second moment shows and the update cancels.
    let beta = [config.beta1 as f32, config.beta2 as f32];
    let take = beta.map(|beta| 1.0 - beta);
    let [first_power, second_power] = beta.map(|beta| beta.powf(step as f32));
    let rate = learning_rate as f32 * (1.0 - second_power).sqrt() / (1.0 - first_power);
    let epsilon = config.epsilon as f32;
    for_each_element(weight, buffers, gradient, |w, [m, v], g| {
        let m = beta[0] * m + take[0] * g;
        let v = beta[1] * v + take[1] * (g * g);
        (w - rate * m / (v.sqrt() + epsilon), [m, v], [])
    });
}
