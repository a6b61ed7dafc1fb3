//! The candle op.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::super::mask::NegativeMask;
use super::super::output::NtXentOutput;
use super::super::similarity::Similarity;
use super::backward::backward;
use super::forward::{self, Softmax};
use super::views::Views;
use crate::tensors::as_f32_slice;

/// The loss of `embeddings` `[2n, d]`, f32 on the CPU.
pub(crate) fn forward(
    similarity: Similarity,
    embeddings: &Tensor,
    mask: Option<&NegativeMask>,
) -> Result<NtXentOutput> {
    let op = Fused {
        similarity,
        mask: mask.cloned(),
        saved: OnceLock::new(),
    };
    // A candle op has one output: it holds the loss and, beside it, what carries no gradient.
    let output = embeddings.contiguous()?.apply_op1(op)?;
    Ok(NtXentOutput {
        loss: output.get(0)?,
        accuracy: output.get(1)?.detach(),
        entropy: output.get(2)?.detach(),
    })
}

struct Fused {
    similarity: Similarity,
    mask: Option<NegativeMask>,
    /// Saved by the forward pass for the backward pass.
    saved: OnceLock<(Views, Softmax)>,
}

impl CustomOp1 for Fused {
    fn name(&self) -> &'static str {
        "nt-xent"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let embeddings = as_f32_slice(self.name(), storage, layout)?;
        let (rows, width) = layout.shape().dims2()?;
        let views = Views::new(
            self.similarity,
            embeddings,
            (rows, width),
            self.mask.clone(),
        );
        let (softmax, metrics) = forward::forward(&views);
        self.saved.get_or_init(|| (views, softmax));
        let output = metrics.map(|metric| metric as f32).to_vec();
        Ok((CpuStorage::F32(output), Shape::from(3)))
    }

    fn bwd(&self, embeddings: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let Some((views, softmax)) = self.saved.get() else {
            bail!("{}: backward before forward", self.name());
        };
        let upstream = f64::from(gradient.get(0)?.to_scalar::<f32>()?);
        let gradient = backward(views, softmax, upstream);
        let gradient = Tensor::from_vec(gradient, embeddings.shape(), embeddings.device())?;
        Ok(Some(gradient))
    }
}
