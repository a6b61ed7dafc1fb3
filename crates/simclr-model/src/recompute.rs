//! Trading time for memory: forgetting what is inside a section and computing it again.

use std::sync::Mutex;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Error, Layout, Shape, Storage, Tensor, Var};
use serde::{Deserialize, Serialize};

use crate::Result;

/// What a training pass keeps for its backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivationMemory {
    /// Everything that the backward pass needs: fastest.
    #[default]
    Keep,
    /// Only the input of the stem and of each block; the backward pass computes the inside
    /// again. The gradients are the same to the last bit, and `initial_conv` is detached. On
    /// the CPU only.
    ///
    /// Sections pass their results on as tensors, which costs copies: with ResNet-50 at 224
    /// and 96 px a step needs more memory than with [`Self::Keep`] (docs/performance.md) and
    /// 2.6 times as long. Measure before you choose it.
    RecomputeBlocks,
}

/// A section's inside, from its input.
type Rerun = dyn Fn(&Tensor) -> Result<Tensor> + Send + Sync;

/// Ties an `output`, computed from `input` without a graph, to the input and the variables, as
/// if it had one. `rerun` computes it again, with a graph, for the backward pass.
pub(crate) fn attach(
    output: Tensor,
    input: &Tensor,
    variables: &[Var],
    rerun: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    // An op has three inputs at most, so the variables come as one.
    let flat = variables.iter().map(|variable| variable.flatten_all());
    let bundle = Tensor::cat(&flat.collect::<candle_core::Result<Vec<_>>>()?, 0)?;
    let op = Recompute {
        output: Mutex::new(Some(output.contiguous()?)),
        variables: variables.to_vec(),
        rerun: Box::new(rerun),
    };
    Ok(input.apply_op2(&bundle, op)?)
}

struct Recompute {
    /// Handed over once, so that it is not kept twice.
    output: Mutex<Option<Tensor>>,
    variables: Vec<Var>,
    rerun: Box<Rerun>,
}

impl CustomOp2 for Recompute {
    fn name(&self) -> &'static str {
        "recompute-section"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let output = self.output.lock().ok().and_then(|mut output| output.take());
        let output = output.ok_or_else(|| Error::msg("recompute-section: no output"))?;
        let (storage, layout) = output.storage_and_layout();
        match &*storage {
            Storage::Cpu(storage) => Ok((storage.try_clone(layout)?, output.shape().clone())),
            _ => Err(Error::msg("recompute-section: works on the CPU only")),
        }
    }

    fn bwd(
        &self,
        input: &Tensor,
        _: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let wanted = input.track_op();
        let start = if wanted {
            Var::from_tensor(&input.detach())?.into_inner()
        } else {
            input.clone()
        };
        let output = (self.rerun)(&start).map_err(Error::wrap)?;
        let loss = (output * gradient)?.sum_all()?;
        let gradients = simclr_kernels::backward(&loss).map_err(Error::wrap)?;
        let of_variables = self
            .variables
            .iter()
            .map(|variable| match gradients.get(variable) {
                Some(gradient) => gradient.flatten_all(),
                None => variable.zeros_like()?.flatten_all(),
            });
        let of_variables = of_variables.collect::<candle_core::Result<Vec<_>>>()?;
        let of_input = gradients.get(&start).filter(|_| wanted).cloned();
        Ok((of_input, Some(Tensor::cat(&of_variables, 0)?)))
    }
}
