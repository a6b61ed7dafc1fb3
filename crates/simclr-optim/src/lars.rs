//! Layer-wise adaptive rate scaling.

use candle_core::{DType, Device, Tensor, Var};
use serde::{Deserialize, Serialize};

use crate::elementwise::{for_each_element, in_place};
use crate::error::{check_fraction, check_not_negative};
use crate::setters::setters;
use crate::state::{Buffers, OptimizerState, Update, forward_to_state};
use crate::weight_decay::widened;
use crate::{Gradients, NamedVariable, Optimizer, Result, WeightDecayCoverage};

/// What the momentum of [`Lars`] runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MomentumForm {
    /// Over gradients that are already scaled by learning rate and trust ratio (the original's choice).
    #[default]
    Classic,
    /// Over raw gradients; the scaling follows.
    Popular,
}

/// The names excluded by default, in this library's terms and in the original's:
/// batch norms, biases and the supervised head.
pub fn default_exclusions() -> Vec<String> {
    ["batch_norm", "bias", "supervised_head", "head_supervised"]
        .map(str::to_owned)
        .to_vec()
}

/// The settings of [`Lars`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[must_use]
pub struct LarsConfig {
    /// Momentum. Default 0.9.
    pub momentum: f64,
    /// Nesterov's form of momentum. Default false.
    pub nesterov: bool,
    /// The multiple of the weight that joins the gradient. Default 0.
    pub weight_decay: f64,
    /// The factor of the trust ratio. Default 0.001.
    pub trust_coefficient: f64,
    /// What the momentum runs over. Default [`MomentumForm::Classic`].
    pub momentum_form: MomentumForm,
    /// Variables whose name contains one of these get no weight decay.
    /// Default [`default_exclusions`].
    pub exclude_from_weight_decay: Vec<String>,
    /// Variables whose name contains one of these get no trust ratio; with `None`
    /// the same as above. Default `None`.
    pub exclude_from_layer_adaptation: Option<Vec<String>>,
}

impl Default for LarsConfig {
    fn default() -> Self {
        Self {
            momentum: 0.9,
            nesterov: false,
            weight_decay: 0.0,
            trust_coefficient: 0.001,
            momentum_form: MomentumForm::Classic,
            exclude_from_weight_decay: default_exclusions(),
            exclude_from_layer_adaptation: None,
        }
    }
}

impl LarsConfig {
    setters! {
        with_momentum(momentum: f64);
        with_nesterov(nesterov: bool);
        with_weight_decay(weight_decay: f64);
        with_trust_coefficient(trust_coefficient: f64);
        with_momentum_form(momentum_form: MomentumForm);
    }

    /// Sets which names get no weight decay.
    pub fn with_exclude_from_weight_decay(
        mut self,
        names: impl IntoIterator<Item: Into<String>>,
    ) -> Self {
        self.exclude_from_weight_decay = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets which names get no trust ratio, where these are others than those that get no weight decay.
    pub fn with_exclude_from_layer_adaptation(
        mut self,
        names: impl IntoIterator<Item: Into<String>>,
    ) -> Self {
        self.exclude_from_layer_adaptation = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// Momentum outside [0, 1); negative weight decay or trust coefficient.
    pub fn validate(&self) -> Result<()> {
        check_fraction("momentum", self.momentum)?;
        check_not_negative("weight decay", self.weight_decay)?;
        check_not_negative("trust coefficient", self.trust_coefficient)
    }
}

/// LARS (You, Gitman, Ginsburg 2017) as in the original's `lars_optimizer.py`.
///
/// With weight `w`, gradient `g`, learning rate `r`, momentum `m` and velocity `v`:
///
/// ```text
/// g <- g + weight_decay * w                      (unless excluded)
/// classic:  t = trust(w, g);  v <- m v + r t g;  w <- w - v           (Nesterov: w - (m v + r t g))
/// popular:  v <- m v + g;  u = v (Nesterov: m v + g);  w <- w - r trust(w, u) u
/// trust(w, x) = coefficient * ||w|| / ||x||, 1 if a norm is zero or the variable is excluded
/// ```
#[derive(Debug)]
pub struct Lars {
    config: LarsConfig,
    state: OptimizerState<1>,
}

impl Lars {
    /// LARS over these variables.
    ///
    /// # Errors
    /// A name that occurs twice; a setting that [`LarsConfig::validate`] refuses.
    pub fn new<V: Into<NamedVariable>>(
        variables: impl IntoIterator<Item = V>,
        config: LarsConfig,
    ) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            config,
            state: OptimizerState::new(variables, ["momentum"])?,
        })
    }

    /// The settings.
    pub fn config(&self) -> &LarsConfig {
        &self.config
    }
}

impl Optimizer for Lars {
    fn step(&mut self, gradients: &dyn Gradients, learning_rate: f64) -> Result<()> {
        let config = &self.config;
        self.state.update(gradients, learning_rate, |update| {
            Rule::new(config, &update.named.name, learning_rate).apply(update)
        })
    }

    forward_to_state!();

    /// LARS decays everything but what it excludes, of which the loss decays the
    /// kernels of the supervised head.
    fn weight_decay_coverage(&self) -> WeightDecayCoverage {
        WeightDecayCoverage::SupervisedHeadKernels
    }
}

/// The update of one variable.
struct Rule<'a> {
    config: &'a LarsConfig,
    learning_rate: f64,
    /// 0 where the variable is excluded.
    weight_decay: f64,
    /// `None` where the variable is excluded.
    trust_coefficient: Option<f64>,
}

impl<'a> Rule<'a> {
    fn new(config: &'a LarsConfig, name: &str, learning_rate: f64) -> Self {
        let listed = |list: &[String]| list.iter().any(|part| name.contains(part.as_str()));
        let undecayed = listed(&config.exclude_from_weight_decay);
        let unadapted = match &config.exclude_from_layer_adaptation {
            Some(list) => listed(list),
            None => undecayed,
        };
        Self {
            config,
            learning_rate,
            weight_decay: if undecayed { 0.0 } else { config.weight_decay },
            trust_coefficient: (!unadapted).then_some(config.trust_coefficient),
        }
    }

    fn apply(&self, update: Update<'_, 1>) -> Result<()> {
        let variable = &update.named.variable;
        match update.buffers {
            Buffers::Host([velocity]) => {
                in_place(variable, &update.gradient, |weight, gradient| {
                    match self.config.momentum_form {
                        MomentumForm::Classic => self.classic(weight, velocity, gradient),
                        MomentumForm::Popular => self.popular(weight, velocity, gradient),
                    }
                })
            }
            Buffers::Device([velocity]) => self.composite(variable, velocity, &update.gradient),
        }
    }

    fn trust_ratio(&self, weight_norm: f64, update_norm: f64) -> f64 {
        match self.trust_coefficient {
            Some(coefficient) if weight_norm > 0.0 && update_norm > 0.0 => {
                coefficient * weight_norm / update_norm
            }
            _ => 1.0,
        }
    }

    /// One pass for the norms, if the rate depends on them, and one for the update.
    fn classic(&self, weight: &mut [f32], velocity: &mut [f32], gradient: &[f32]) {
        let (decay, momentum) = (self.weight_decay as f32, self.config.momentum as f32);
        let mut trust = 1.0;
        if self.trust_coefficient.is_some() {
            let [weight_norm, update_norm] =
                for_each_element(weight, [], gradient, |w, [], g| (w, [], [w, g + decay * w]));
            trust = self.trust_ratio(weight_norm, update_norm);
        }
        let rate = (self.learning_rate * trust) as f32;
        if self.config.nesterov {
            for_each_element(weight, [velocity], gradient, |w, [v], g| {
                let scaled = rate * (g + decay * w);
                let v = momentum * v + scaled;
                (w - (momentum * v + scaled), [v], [])
            });
        } else {
            for_each_element(weight, [velocity], gradient, |w, [v], g| {
                let v = momentum * v + rate * (g + decay * w);
                (w - v, [v], [])
            });
        }
    }

    /// One pass for the velocity and the norms, and one for the weight.
    fn popular(&self, weight: &mut [f32], velocity: &mut [f32], gradient: &[f32]) {
        let (decay, momentum) = (self.weight_decay as f32, self.config.momentum as f32);
        if self.config.nesterov {
            self.descend(weight, velocity, gradient, |w, v, g| {
                momentum * v + (g + decay * w)
            });
        } else {
            self.descend(weight, velocity, gradient, |_, v, _| v);
        }
    }

    /// `v <- m v + g;  w <- w - r trust(w, u) u` with `u = direction(w, v, g)`.
    fn descend(
        &self,
        weight: &mut [f32],
        velocity: &mut [f32],
        gradient: &[f32],
        direction: impl Fn(f32, f32, f32) -> f32 + Sync,
    ) {
        let (decay, momentum) = (self.weight_decay as f32, self.config.momentum as f32);
        let [weight_norm, update_norm] =
            for_each_element(weight, [&mut *velocity], gradient, |w, [v], g| {
                let v = momentum * v + (g + decay * w);
                (w, [v], [w, direction(w, v, g)])
            });
        let trust = self.trust_ratio(weight_norm, update_norm);
        let rate = (self.learning_rate * trust) as f32;
        for_each_element(weight, [velocity], gradient, |w, [v], g| {
            (w - rate * direction(w, v, g), [v], [])
        });
    }

    fn composite(&self, variable: &Var, velocity: &mut Tensor, gradient: &Tensor) -> Result<()> {
        let weight = variable.as_detached_tensor();
        let gradient = if self.weight_decay == 0.0 {
            gradient.clone()
        } else {
            (gradient + (&weight * self.weight_decay)?)?
        };
        let trust = |update: &Tensor| -> Result<f64> {
            if self.trust_coefficient.is_none() {
                return Ok(1.0);
            }
            Ok(self.trust_ratio(norm(&weight)?, norm(update)?))
        };
        let (scale, step_scale) = match self.config.momentum_form {
            MomentumForm::Classic => (self.learning_rate * trust(&gradient)?, None),
            MomentumForm::Popular => (1.0, Some(self.learning_rate)),
        };
        let scaled = (gradient * scale)?;
        let next = ((velocity.clone() * self.config.momentum)? + &scaled)?;
        let update = if self.config.nesterov {
            ((&next * self.config.momentum)? + &scaled)?
        } else {
            next.clone()
        };
        let update = match step_scale {
            Some(rate) => (&update * (rate * trust(&update)?))?,
            None => update,
        };
        variable.set(&(&weight - update)?)?;
        *velocity = next;
        Ok(())
    }
}

fn norm(tensor: &Tensor) -> Result<f64> {
    // On the CPU, since not every device has f64.
    let squares = widened(tensor)?.sqr()?.sum_all()?;
    let squares = squares.to_device(&Device::Cpu)?;
    Ok(squares.to_dtype(DType::F64)?.to_scalar::<f64>()?.sqrt())
}
