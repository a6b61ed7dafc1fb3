//! What optimizers remember per variable, and how it is saved.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};

use super::{Gradients, NamedVariable};
use crate::{Error, Result};

const STEP: &str = "optimizer.step";

/// The remembered values of one variable, each as large as the variable.
#[derive(Debug)]
pub(super) enum Slots<const SLOTS: usize> {
    /// Of an f32 variable on the CPU: updated in place.
    Host([Vec<f32>; SLOTS]),
    /// Of any other variable.
    Device([Tensor; SLOTS]),
}

impl<const SLOTS: usize> Slots<SLOTS> {
    fn zeros(variable: &NamedVariable) -> Result<Self> {
        let tensor = variable.variable.as_tensor();
        if is_host(tensor) {
            return Ok(Self::Host(std::array::from_fn(|_| {
                vec![0.0; tensor.elem_count()]
            })));
        }
        // Slots are replaced, never written to, so they may share their zeros.
        let zeros = tensor.zeros_like()?.detach();
        Ok(Self::Device(std::array::from_fn(|_| zeros.clone())))
    }

    fn from_saved(variable: &NamedVariable, saved: [(&str, &Tensor); SLOTS]) -> Result<Self> {
        let tensor = variable.variable.as_tensor();
        for (key, saved) in saved {
            if saved.shape() != tensor.shape() {
                return Err(Error::OptimizerState {
                    key: key.to_owned(),
                    reason: format!("expected shape {:?}, got {:?}", tensor.dims(), saved.dims()),
                });
            }
        }
        if is_host(tensor) {
            let mut values: [Vec<f32>; SLOTS] = std::array::from_fn(|_| Vec::new());
            for (values, (_, saved)) in values.iter_mut().zip(saved) {
                *values = saved.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
            }
            return Ok(Self::Host(values));
        }
        let mut slots = saved.map(|(_, saved)| saved.detach());
        for slot in &mut slots {
            *slot = slot.to_dtype(tensor.dtype())?.to_device(tensor.device())?;
        }
        Ok(Self::Device(slots))
    }

    fn to_tensors(&self, variable: &NamedVariable) -> Result<Vec<Tensor>> {
        match self {
            Self::Host(slots) => slots
                .iter()
                .map(|values| {
                    let shape = variable.variable.shape();
                    Ok(Tensor::from_slice(values, shape, &Device::Cpu)?)
                })
                .collect(),
            Self::Device(slots) => Ok(slots.to_vec()),
        }
    }
}

fn is_host(tensor: &Tensor) -> bool {
    tensor.dtype() == DType::F32 && tensor.device().is_cpu()
}

/// A variable with its slots, which exist from its first gradient on.
#[derive(Debug)]
pub(super) struct Entry<const SLOTS: usize> {
    pub(super) variable: NamedVariable,
    pub(super) slots: Option<Slots<SLOTS>>,
}

/// All variables of an optimizer with their slots, and the number of steps taken.
#[derive(Debug)]
pub(super) struct Book<const SLOTS: usize> {
    pub(super) entries: Vec<Entry<SLOTS>>,
    pub(super) steps: u64,
    slot_names: [&'static str; SLOTS],
}

impl<const SLOTS: usize> Book<SLOTS> {
    pub(super) fn new<V: Into<NamedVariable>>(
        variables: impl IntoIterator<Item = V>,
        slot_names: [&'static str; SLOTS],
    ) -> Result<Self> {
        let entries: Vec<_> = variables
            .into_iter()
            .map(|variable| Entry {
                variable: variable.into(),
                slots: None,
            })
            .collect();
        let mut names = std::collections::BTreeSet::new();
        for entry in &entries {
            if !names.insert(entry.variable.name.as_str()) {
                return Err(Error::setting(
                    "variables",
                    "each name once",
                    format!("`{}` twice", entry.variable.name),
                ));
            }
        }
        Ok(Self {
            entries,
            steps: 0,
            slot_names,
        })
    }

    pub(super) fn variables(&self) -> Vec<&NamedVariable> {
        self.entries.iter().map(|entry| &entry.variable).collect()
    }

    pub(super) fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = BTreeMap::new();
        let steps = Tensor::new(self.steps as i64, &Device::Cpu)?;
        state.insert(STEP.to_owned(), steps);
        for Entry { variable, slots } in &self.entries {
            let Some(slots) = slots else { continue };
            for (slot, name) in slots.to_tensors(variable)?.into_iter().zip(self.slot_names) {
                state.insert(format!("{}.{name}", variable.name), slot);
            }
        }
        Ok(state)
    }

    pub(super) fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let steps = read_steps(state)?;
        let mut used = 1;
        let mut loaded = Vec::with_capacity(self.entries.len());
        for Entry { variable, .. } in &self.entries {
            let keys = self
                .slot_names
                .map(|name| format!("{}.{name}", variable.name));
            let saved: Vec<_> = keys
                .iter()
                .filter_map(|key| Some((key.as_str(), state.get(key)?)))
                .collect();
            used += saved.len();
            loaded.push(match <[(&str, &Tensor); SLOTS]>::try_from(saved) {
                Ok(saved) => Some(Slots::from_saved(variable, saved)?),
                Err(saved) if saved.is_empty() => None,
                Err(saved) => {
                    return Err(Error::OptimizerState {
                        key: variable.name.clone(),
                        reason: format!("only {} of {SLOTS} slots are there", saved.len()),
                    });
                }
            });
        }
        if used != state.len() {
            return Err(self.foreign_entry(state));
        }
        for (entry, slots) in self.entries.iter_mut().zip(loaded) {
            entry.slots = slots;
        }
        self.steps = steps;
        Ok(())
    }

    fn foreign_entry(&self, state: &BTreeMap<String, Tensor>) -> Error {
        let known = |key: &str| {
            self.entries.iter().any(|entry| {
                self.slot_names
                    .iter()
                    .any(|slot| key == format!("{}.{slot}", entry.variable.name))
            })
        };
        let foreign = state.keys().find(|key| *key != STEP && !known(key));
        Error::OptimizerState {
            key: foreign.cloned().unwrap_or_default(),
            reason: format!(
                "no variable of this optimizer has such a slot (its slots: {})",
                self.slot_names.join(", ")
            ),
        }
    }
}

impl<const SLOTS: usize> Entry<SLOTS> {
    /// The gradient, checked and ready for the update, and the slots, made if
    /// this is the first; `None` if there is no gradient.
    pub(super) fn prepare(
        &mut self,
        gradients: &dyn Gradients,
    ) -> Result<Option<Update<'_, SLOTS>>> {
        let Some(gradient) = gradients.of(&self.variable) else {
            return Ok(None);
        };
        let tensor = self.variable.variable.as_tensor();
        if gradient.shape() != tensor.shape() {
            return Err(Error::OptimizerState {
                key: self.variable.name.clone(),
                reason: format!(
                    "expected a gradient of shape {:?}, got {:?}",
                    tensor.dims(),
                    gradient.dims()
                ),
            });
        }
        let slots = match &mut self.slots {
            Some(slots) => slots,
            empty => empty.insert(Slots::zeros(&self.variable)?),
        };
        Ok(Some(Update {
            variable: &self.variable.variable,
            gradient: gradient.detach(),
            slots,
        }))
    }
}

/// One variable about to be updated.
pub(super) struct Update<'a, const SLOTS: usize> {
    pub(super) variable: &'a Var,
    pub(super) gradient: Tensor,
    pub(super) slots: &'a mut Slots<SLOTS>,
}

fn read_steps(state: &BTreeMap<String, Tensor>) -> Result<u64> {
    let error = |reason: &str| Error::OptimizerState {
        key: STEP.to_owned(),
        reason: reason.to_owned(),
    };
    let steps = state.get(STEP).ok_or_else(|| error("missing"))?;
    if steps.elem_count() != 1 {
        return Err(error("expected a single number"));
    }
    let values: Vec<i64> = steps.flatten_all()?.to_dtype(DType::I64)?.to_vec1()?;
    values
        .first()
        .and_then(|&value| u64::try_from(value).ok())
        .ok_or_else(|| error("expected a count, at least 0"))
}
