//! What ops keep of maps for their backward passes.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use candle_core::{Error as CandleError, Result as CandleResult};

use super::affine::Affine;
use super::map_buffer::MapBuffer;
use super::values::Values;
use crate::activation::Activation;
use crate::gradients::is_last_pass;
use crate::simd::{Format, Numbers, SimdLevel};

/// What an op keeps of a map for its backward pass.
pub(super) struct SavedForBackward(Mutex<Option<Saved>>);

impl SavedForBackward {
    /// The map's numbers; in a last pass they are freed with what is returned.
    pub(super) fn get(&self) -> CandleResult<Values> {
        let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let map = if is_last_pass() {
            saved.take()
        } else {
            saved.clone()
        };
        let map = map.ok_or_else(|| {
            CandleError::msg(
                "a graph that simclr_kernels::backward walked before: its saved maps are freed",
            )
        })?;
        map.values()
    }
}

impl From<Saved> for SavedForBackward {
    fn from(saved: Saved) -> Self {
        Self(Mutex::new(Some(saved)))
    }
}

/// A map's numbers, or how they are computed again.
#[derive(Debug, Clone)]
pub(super) enum Saved {
    Values(Values),
    BatchNorm(Arc<BatchNormResult>),
}

impl Saved {
    fn values(&self) -> CandleResult<Values> {
        match self {
            Self::Values(values) => Ok(values.clone()),
            Self::BatchNorm(result) => result.values(),
        }
    }
}

/// The result of a batch norm, which is not kept: what it follows from is, by the batch norm
/// itself and by the ops around it, so that it takes one pass over memory to compute it again.
#[derive(Debug)]
pub(super) struct BatchNormResult(Mutex<State>);

#[derive(Debug)]
enum State {
    Pending {
        formula: AffineFormula,
        x: Saved,
        residual: Option<Saved>,
        /// The numbers themselves, as long as somebody else has them.
        forward: Weak<MapBuffer>,
    },
    /// Freed with the last op that keeps the result.
    Computed(Arc<MapBuffer>),
}

impl BatchNormResult {
    /// `y`, which `formula` made of what is kept of `x` and of the residual.
    pub(super) fn new(
        y: &Arc<MapBuffer>,
        formula: AffineFormula,
        x: Saved,
        residual: Option<Saved>,
    ) -> Self {
        Self(Mutex::new(State::Pending {
            formula,
            x,
            residual,
            forward: Arc::downgrade(y),
        }))
    }

    /// The numbers, computed once.
    fn values(&self) -> CandleResult<Values> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let y = match &*state {
            State::Computed(y) => Arc::clone(y),
            State::Pending {
                formula,
                x,
                residual,
                forward,
            } => match forward.upgrade() {
                Some(y) => y,
                None => {
                    let residual = residual.as_ref().map(Saved::values).transpose()?;
                    Arc::new(formula.apply(&x.values()?, residual.as_ref())?)
                }
            },
        };
        *state = State::Computed(Arc::clone(&y));
        Ok(Values::Buffer(y))
    }
}

/// `act(x scale + shift + residual)` of whole maps.
#[derive(Debug)]
pub(super) struct AffineFormula {
    pub(super) level: SimdLevel,
    pub(super) format: Format,
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
    pub(super) activation: Activation,
}

impl AffineFormula {
    pub(super) fn apply(&self, x: &Values, residual: Option<&Values>) -> CandleResult<MapBuffer> {
        let apply = |residual: Option<Numbers<'_>>| {
            let affine = Affine {
                scale: &self.scale,
                shift: &self.shift,
                residual,
                activation: self.activation,
            };
            x.lend(|x| affine.apply(self.level, x, self.format))
        };
        match residual {
            None => apply(None),
            Some(residual) => residual.lend(|residual| apply(Some(residual)))?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory;

    fn buffer(numbers: &[f32]) -> Arc<MapBuffer> {
        Arc::new(MapBuffer::new(Format::Single, memory::copy(numbers)))
    }

    fn numbers(values: &Values) -> Vec<f32> {
        let copied = values.lend(|numbers| match numbers {
            Numbers::Single(numbers) => numbers.to_vec(),
            Numbers::Pairs(_) => Vec::new(),
        });
        copied.unwrap()
    }

    /// `relu(2 x - 1 + residual)`, and what is kept of it.
    fn result(
        x: Saved,
        residual: Option<(&Values, Saved)>,
    ) -> (Arc<MapBuffer>, Arc<BatchNormResult>) {
        let formula = AffineFormula {
            level: SimdLevel::Portable,
            format: Format::Single,
            scale: vec![2.0],
            shift: vec![-1.0],
            activation: Activation::Relu,
        };
        let (residual, saved) = residual.unzip();
        let y = Arc::new(formula.apply(&x.values().unwrap(), residual).unwrap());
        let result = BatchNormResult::new(&y, formula, x, saved);
        (y, Arc::new(result))
    }

    #[test]
    fn a_result_is_computed_again_once_nobody_has_it() {
        let x = || Saved::Values(Values::Buffer(buffer(&[3.0, -1.0, 0.5])));
        let (first_y, first) = result(x(), None);
        let first_values = Values::Buffer(Arc::clone(&first_y));
        let residual = Saved::BatchNorm(Arc::clone(&first));
        let (second_y, second) = result(x(), Some((&first_values, residual)));
        // As long as somebody has it, it is that one.
        let Values::Buffer(same) = first.values().unwrap() else {
            panic!("a buffer")
        };
        assert!(Arc::ptr_eq(&same, &first_y));
        let expected = numbers(&Values::Buffer(Arc::clone(&second_y)));
        assert_eq!(expected, [10.0, 0.0, 0.0]);
        drop(second_y);
        let again = second.values().unwrap();
        assert_eq!(numbers(&again), expected);
        let (Values::Buffer(again), Values::Buffer(once)) = (again, second.values().unwrap())
        else {
            panic!("buffers")
        };
        assert!(Arc::ptr_eq(&again, &once), "computed once");
        assert_eq!(Arc::strong_count(&first), 1, "what it follows from is free");
    }
}
