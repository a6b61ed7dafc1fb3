//! Squeeze-excitation, <https://arxiv.org/abs/1709.01507>.

use candle_core::Tensor;
use candle_nn::ops::sigmoid;

use super::dense::Dense;
use super::pass::Pass;
use crate::builder::Builder;
use crate::error::Result;

/// Scales each channel by a gate that sees the pooled features.
#[derive(Debug, Clone)]
pub(crate) struct SqueezeExcitation {
    reduce: Dense,
    expand: Dense,
}

impl SqueezeExcitation {
    /// `filters` are the block's, before the expansion; `channels` are what is scaled.
    pub(crate) fn new(
        builder: &mut Builder<'_>,
        path: &str,
        (filters, channels): (usize, usize),
        ratio: f64,
    ) -> Result<Self> {
        let width = ((filters as f64 * ratio) as usize).max(1);
        let mut layer = |name, shape| {
            let path = format!("{path}.squeeze_excitation.{name}");
            Dense::pointwise(builder, &path, shape, true)
        };
        Ok(Self {
            reduce: layer("reduce", (channels, width))?,
            expand: layer("expand", (width, channels))?,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        let pooled = pass.backend.global_average_pool(x)?;
        let hidden = pass.backend.relu(&self.reduce.forward(&pooled, pass)?)?;
        let gate = sigmoid(&self.expand.forward(&hidden, pass)?)?;
        Ok(x.broadcast_mul(&gate.unsqueeze(1)?.unsqueeze(1)?)?)
    }
}
