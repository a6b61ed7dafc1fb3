//! The state buffers that optimizers keep per variable, and how they are saved.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::{Error, Gradients, NamedVariable, Result};

const STEP: &str = "optimizer.step";

/// All variables of an optimizer with their state buffers, and the number of steps taken.
pub(crate) struct OptimizerState<const BUFFERS: usize> {
    entries: Vec<Entry<BUFFERS>>,
    steps: u64,
    buffer_names: [&'static str; BUFFERS],
}

/// A variable with its state buffers, which exist from its first gradient on: a variable
/// that never has one gets none, as in the original.
struct Entry<const BUFFERS: usize> {
    named: NamedVariable,
    buffers: Option<Buffers<BUFFERS>>,
}

/// The state buffers of one variable, each of the variable's shape.
pub(crate) enum Buffers<const BUFFERS: usize> {
    /// Of an f32 variable on the CPU: updated in place.
    Host([Vec<f32>; BUFFERS]),
    /// Of any other variable: replaced at each step.
    Device([Tensor; BUFFERS]),
}

/// One variable about to be updated.
pub(crate) struct Update<'a, const BUFFERS: usize> {
    pub(crate) named: &'a NamedVariable,
    pub(crate) gradient: Tensor,
    pub(crate) buffers: &'a mut Buffers<BUFFERS>,
    /// The number of this step, from 1.
    pub(crate) step: u64,
}

impl<const BUFFERS: usize> OptimizerState<BUFFERS> {
    pub(crate) fn new<V: Into<NamedVariable>>(
        variables: impl IntoIterator<Item = V>,
        buffer_names: [&'static str; BUFFERS],
    ) -> Result<Self> {
        let mut names = BTreeSet::new();
        let mut entries = Vec::new();
        for named in variables.into_iter().map(Into::into) {
            if !names.insert(named.name.clone()) {
                let found = format!("`{}` twice", named.name);
                return Err(Error::setting("variables", "each name once", found));
            }
            let buffers = None;
            entries.push(Entry { named, buffers });
        }
        Ok(Self {
            entries,
            steps: 0,
            buffer_names,
        })
    }

    /// Takes one step: `rule` updates each variable that has a gradient, and none if one does not fit.
    pub(crate) fn update(
        &mut self,
        gradients: &dyn Gradients,
        learning_rate: f64,
        rule: impl Fn(Update<'_, BUFFERS>) -> Result<()> + Sync,
    ) -> Result<()> {
        if !learning_rate.is_finite() {
            let expected = "a finite number";
            return Err(Error::setting("learning rate", expected, learning_rate));
        }
        for Entry { named, .. } in &self.entries {
            if let Some(gradient) = gradients.of(named) {
                check_shape(&named.name, "a gradient of ", named, gradient)?;
                check_type(named, gradient)?;
            }
        }
        let step = self.steps + 1;
        self.entries.par_iter_mut().try_for_each(|entry| {
            let Entry { named, buffers } = entry;
            let Some(gradient) = gradients.of(named) else {
                return Ok(());
            };
            let buffers = match buffers {
                Some(buffers) => buffers,
                none => none.insert(Buffers::zeros(named)?),
            };
            rule(Update {
                named,
                gradient: gradient.detach(),
                buffers,
                step,
            })
        })?;
        self.steps = step;
        Ok(())
    }

    pub(crate) fn variables(&self) -> Vec<&NamedVariable> {
        self.entries.iter().map(|entry| &entry.named).collect()
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    pub(crate) fn to_tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = BTreeMap::new();
        let steps = Tensor::new(self.steps as i64, &Device::Cpu)?;
        state.insert(STEP.to_owned(), steps);
        for Entry { named, buffers } in &self.entries {
            let tensors = match buffers {
                None => continue,
                Some(Buffers::Device(tensors)) => tensors.to_vec(),
                Some(Buffers::Host(values)) => values
                    .iter()
                    .map(|values| Tensor::from_slice(values, named.variable.shape(), &Device::Cpu))
                    .collect::<candle_core::Result<_>>()?,
            };
            for (tensor, name) in tensors.into_iter().zip(self.buffer_names) {
                state.insert(format!("{}.{name}", named.name), tensor);
            }
        }
        Ok(state)
    }

    pub(crate) fn load(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let steps = read_steps(state)?;
        let mut unknown: BTreeSet<_> = state.keys().filter(|key| *key != STEP).collect();
        let mut loaded = Vec::with_capacity(self.entries.len());
        for Entry { named, .. } in &self.entries {
            let keys = self
                .buffer_names
                .map(|name| format!("{}.{name}", named.name));
            let mut saved = Vec::with_capacity(BUFFERS);
            for key in &keys {
                if let Some(tensor) = state.get(key) {
                    check_shape(key, "", named, tensor)?;
                    unknown.remove(key);
                    saved.push(tensor);
                }
            }
            loaded.push(match <[&Tensor; BUFFERS]>::try_from(saved) {
                Ok(saved) => Some(Buffers::from_saved(named, saved)?),
                Err(saved) if saved.is_empty() => None,
                Err(saved) => {
                    let reason = format!("only {} of {BUFFERS} buffers are there", saved.len());
                    return Err(Error::state(&named.name, reason));
                }
            });
        }
        if let Some(key) = unknown.first() {
            let buffers = self.buffer_names.join(", ");
            return Err(Error::state(
                *key,
                format!("no variable of this optimizer has such a buffer (its buffers: {buffers})"),
            ));
        }
        for (entry, buffers) in self.entries.iter_mut().zip(loaded) {
            entry.buffers = buffers;
        }
        self.steps = steps;
        Ok(())
    }
}

/// The methods of [`Optimizer`](crate::Optimizer) that are those of a field `state`, an
/// [`OptimizerState`].
macro_rules! forward_to_state {
    () => {
        fn variables(&self) -> Vec<&NamedVariable> {
            self.state.variables()
        }

        fn steps_taken(&self) -> u64 {
            self.state.steps()
        }

        fn state(&self) -> Result<std::collections::BTreeMap<String, candle_core::Tensor>> {
            self.state.to_tensors()
        }

        fn load_state(
            &mut self,
            state: &std::collections::BTreeMap<String, candle_core::Tensor>,
        ) -> Result<()> {
            self.state.load(state)
        }
    };
}

pub(crate) use forward_to_state;

/// Without the values, of which there are millions.
impl<const BUFFERS: usize> fmt::Debug for OptimizerState<BUFFERS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OptimizerState")
            .field("variables", &self.entries.len())
            .field("buffers", &self.buffer_names)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

impl<const BUFFERS: usize> Buffers<BUFFERS> {
    fn zeros(named: &NamedVariable) -> Result<Self> {
        let tensor = named.variable.as_tensor();
        if is_host(tensor) {
            let values = || vec![0.0; tensor.elem_count()];
            return Ok(Self::Host(std::array::from_fn(|_| values())));
        }
        // These buffers are replaced, never written to, so they may share their zeros.
        let zeros = tensor.zeros_like()?.detach();
        Ok(Self::Device(std::array::from_fn(|_| zeros.clone())))
    }

    fn from_saved(named: &NamedVariable, saved: [&Tensor; BUFFERS]) -> Result<Self> {
        let tensor = named.variable.as_tensor();
        if is_host(tensor) {
            let mut values: [Vec<f32>; BUFFERS] = std::array::from_fn(|_| Vec::new());
            for (values, saved) in values.iter_mut().zip(saved) {
                *values = saved.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
            }
            return Ok(Self::Host(values));
        }
        let mut buffers = saved.map(Tensor::detach);
        for buffer in &mut buffers {
            *buffer = buffer
                .to_dtype(tensor.dtype())?
                .to_device(tensor.device())?;
        }
        Ok(Self::Device(buffers))
    }
}

fn is_host(tensor: &Tensor) -> bool {
    tensor.dtype() == DType::F32 && tensor.device().is_cpu()
}

fn check_shape(key: &str, what: &str, named: &NamedVariable, tensor: &Tensor) -> Result<()> {
    let expected = named.variable.dims();
    if tensor.dims() == expected {
        return Ok(());
    }
    let found = tensor.dims();
    Err(Error::state(
        key,
        format!("expected {what}shape {expected:?}, found {found:?}"),
    ))
}

fn check_type(named: &NamedVariable, gradient: &Tensor) -> Result<()> {
    let [expected, found] = [named.variable.dtype(), gradient.dtype()].map(|dtype| dtype.as_str());
    if found == expected {
        return Ok(());
    }
    let reason = format!("expected a gradient of {expected}, found one of {found}");
    Err(Error::state(&named.name, reason))
}

fn read_steps(state: &BTreeMap<String, Tensor>) -> Result<u64> {
    let steps = state.get(STEP);
    let steps = steps.ok_or_else(|| Error::state(STEP, "missing"))?;
    let values: Vec<i64> = steps.flatten_all()?.to_dtype(DType::I64)?.to_vec1()?;
    match values[..] {
        [steps] => u64::try_from(steps).ok(),
        _ => None,
    }
    .ok_or_else(|| Error::state(STEP, "expected a single number, at least 0"))
}
