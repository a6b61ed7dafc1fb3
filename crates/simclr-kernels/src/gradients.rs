//! candle's backward pass without its detours for parameters.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Result as CandleResult, Tensor};

use crate::Result;
use crate::memory::keep_for_gradients;

thread_local! {
    /// Variables and parts of their gradients, while a [`backward`] is under way.
    static FOUND: RefCell<Option<Vec<(Tensor, Tensor)>>> = const { RefCell::new(None) };
}

/// The gradients of `loss`: what `loss.backward()` finds, in less time and memory, once.
///
/// What the fused ops kept for this pass is let go as soon as it has served, so that its
/// memory serves the gradients. A graph that is to be walked again needs candle's own
/// `backward`, before this one. And for each parameter candle allocates zeros, adds the gradient to them into a third
/// buffer and frees two of the three; fresh memory of the size of a network is dear. Here
/// the fused ops hand over the gradients of variables as they are. An op of your own that
/// runs a backward pass within its own one has to use this function for it.
///
/// # Errors
/// Those of the graph's ops; a graph that was walked by this function before.
pub fn backward(loss: &Tensor) -> Result<GradStore> {
    let outer = FOUND.replace(Some(Vec::new()));
    let gradients = loss.backward();
    let found = FOUND.replace(outer).unwrap_or_default();
    let mut gradients = gradients?;
    for (variable, part) in found {
        let sum = match gradients.get(&variable) {
            Some(sum) => (sum + part)?,
            None => part,
        };
        gradients.insert(&variable, sum);
    }
    Ok(gradients)
}

/// Gives the memory of gradients that have served to the next pass, whose gradients have
/// the same sizes: fresh memory of the size of a network is dear. Clones of these tensors
/// share their memory and are left without numbers.
///
/// # Errors
/// None of its own.
pub fn recycle(gradients: GradStore) -> Result<()> {
    let vectors = Mutex::new(Vec::new());
    for id in gradients.get_ids() {
        if let Some(gradient) = gradients.get_id(*id).filter(|gradient| is_plain(gradient)) {
            gradient.inplace_op1(&TakeMemory(&vectors))?;
        }
    }
    let vectors = vectors.into_inner().unwrap_or_else(PoisonError::into_inner);
    keep_for_gradients(vectors.into_iter());
    Ok(())
}

/// Numbers in the processor's memory, all of them the tensor's own.
fn is_plain(gradient: &Tensor) -> bool {
    let all = gradient.layout().contiguous_offsets() == Some((0, gradient.elem_count()));
    gradient.device().is_cpu() && gradient.dtype() == DType::F32 && all
}

/// Takes the vector out of a tensor.
struct TakeMemory<'a>(&'a Mutex<Vec<Vec<f32>>>);

impl InplaceOp1 for TakeMemory<'_> {
    fn name(&self) -> &'static str {
        "recycle"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> CandleResult<()> {
        if let CpuStorage::F32(values) = storage {
            let mut vectors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            vectors.push(std::mem::take(values));
        }
        Ok(())
    }
}

/// Whether what an op kept may go, once its backward pass has seen it.
pub(crate) fn is_last_pass() -> bool {
    FOUND.with_borrow(Option::is_some)
}

/// Takes the gradient of an input of an op, if it is a variable's and a [`backward`] is
/// under way; else it comes back, for candle.
pub(crate) fn hand_over(input: &Tensor, gradient: Tensor) -> Option<Tensor> {
    if !input.is_variable() {
        return Some(gradient);
    }
    FOUND.with_borrow_mut(|found| match found {
        Some(found) => {
            found.push((input.clone(), gradient));
            None
        }
        None => Some(gradient),
    })
}
