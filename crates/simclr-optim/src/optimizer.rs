//! What every optimizer does.

use std::collections::BTreeMap;
use std::fmt;

use candle_core::Tensor;

use crate::{Gradients, NamedVariable, Result, WeightDecayCoverage};

/// Updates variables by their gradients.
///
/// Every optimizer reads its learning rate from the caller at each step (see
/// [`WarmupCosine`](crate::WarmupCosine)). An optimizer of one's own implements this trait;
/// errors of its own become [`Error::Foreign`](crate::Error::Foreign):
///
/// ```
/// use std::collections::BTreeMap;
///
/// use simclr_optim::candle_core::{Device, Tensor, Var};
/// use simclr_optim::{Gradients, NamedVariable, Optimizer, Result};
///
/// /// `w <- w - r sign(g)`, which keeps nothing but the number of steps.
/// struct SignDescent {
///     variables: Vec<NamedVariable>,
///     steps: u64,
/// }
///
/// impl Optimizer for SignDescent {
///     fn step(&mut self, gradients: &dyn Gradients, learning_rate: f64) -> Result<()> {
///         for named in &self.variables {
///             if let Some(gradient) = gradients.of(named) {
///                 let update = (gradient.sign()? * learning_rate)?;
///                 named.variable.set(&(named.variable.as_detached_tensor() - update)?)?;
///             }
///         }
///         self.steps += 1;
///         Ok(())
///     }
///
///     fn variables(&self) -> Vec<&NamedVariable> {
///         self.variables.iter().collect()
///     }
///
///     fn steps_taken(&self) -> u64 {
///         self.steps
///     }
///
///     fn state(&self) -> Result<BTreeMap<String, Tensor>> {
///         let steps = Tensor::new(self.steps as i64, &Device::Cpu)?;
///         Ok(BTreeMap::from([("optimizer.step".to_owned(), steps)]))
///     }
///
///     fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
///         let Some(steps) = state.get("optimizer.step") else {
///             return Err(Box::<dyn std::error::Error + Send + Sync>::from("no step").into());
///         };
///         self.steps = steps.to_scalar::<i64>()? as u64;
///         Ok(())
///     }
/// }
///
/// let variable = Var::new(&[2.0f32], &Device::Cpu)?;
/// let loss = variable.sqr()?.sum_all()?;
/// let variables = vec![("w".to_owned(), variable.clone()).into()];
/// let mut optimizer: Box<dyn Optimizer> = Box::new(SignDescent { variables, steps: 0 });
/// optimizer.step(&loss.backward()?, 0.5)?;
/// assert_eq!(variable.to_vec1::<f32>()?, [1.5]);
/// assert!(optimizer.load_state(&BTreeMap::new()).is_err());
/// # Ok::<(), simclr_optim::Error>(())
/// ```
pub trait Optimizer: Send {
    /// Takes one step with the given learning rate. Variables without a
    /// gradient stay as they are, state buffers included.
    ///
    /// # Errors
    /// A learning rate that is not finite, or a gradient of another shape or type than its variable.
    fn step(&mut self, gradients: &dyn Gradients, learning_rate: f64) -> Result<()>;

    /// The variables, in the order they were given.
    fn variables(&self) -> Vec<&NamedVariable>;

    /// How many steps have been taken.
    fn steps_taken(&self) -> u64;

    /// Everything needed to continue later: one tensor per existing state buffer, named
    /// `<variable>.<buffer>`, and the step counter `optimizer.step` (a scalar of type i64).
    ///
    /// In a network's checkpoint there is room for two forms of names: `optimizer.<name>`, and
    /// `<parameter>.<word>` with the name of one of the network's parameters and a word without a
    /// dot. Any other name is refused when a training begins and when it is saved.
    fn state(&self) -> Result<BTreeMap<String, Tensor>>;

    /// Replaces the state by a saved one. Nothing changes if it does not fit.
    ///
    /// # Errors
    /// An entry that belongs to no variable and buffer of this optimizer, a
    /// buffer of another shape, or a missing step counter.
    fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()>;

    /// Which variables the weight-decay term of the loss covers: all that the optimizer
    /// does not decay by itself. Default: everything but batch norms.
    fn weight_decay_coverage(&self) -> WeightDecayCoverage {
        WeightDecayCoverage::AllButBatchNorm
    }

    /// A text that identifies the optimizer in the record of a run. Default: the type's name.
    fn describe(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }
}

impl<O: Optimizer + ?Sized> Optimizer for Box<O> {
    fn step(&mut self, gradients: &dyn Gradients, learning_rate: f64) -> Result<()> {
        (**self).step(gradients, learning_rate)
    }

    fn variables(&self) -> Vec<&NamedVariable> {
        (**self).variables()
    }

    fn steps_taken(&self) -> u64 {
        (**self).steps_taken()
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        (**self).state()
    }

    fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        (**self).load_state(state)
    }

    fn weight_decay_coverage(&self) -> WeightDecayCoverage {
        (**self).weight_decay_coverage()
    }

    fn describe(&self) -> String {
        (**self).describe()
    }
}

impl fmt::Debug for dyn Optimizer + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Optimizer")
            .field("variables", &self.variables().len())
            .field("steps_taken", &self.steps_taken())
            .finish_non_exhaustive()
    }
}
