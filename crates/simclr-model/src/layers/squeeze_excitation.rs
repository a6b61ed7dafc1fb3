//! Squeeze-excitation, <https://arxiv.org/abs/1709.01507>.

use candle_core::Tensor;
use candle_nn::ops::sigmoid;

use super::Pass;
use super::pointwise::Pointwise;
use crate::Result;
use crate::builder::Builder;

/// Scales each channel by a gate that sees the pooled features.
#[derive(Debug, Clone)]
pub(crate) struct SqueezeExcitation {
    reduce: Pointwise,
    expand: Pointwise,
}

impl SqueezeExcitation {
    /// `filters` are the block's, before the expansion; `channels` are what is scaled.
    pub(crate) fn new(
        builder: &mut Builder<'_>,
        path: &str,
        filters: usize,
        channels: usize,
        ratio: f64,
    ) -> Result<Self> {
        let width = ((filters as f64 * ratio) as usize).max(1);
        let reduce = (channels, width);
        let expand = (width, channels);
        Ok(Self {
            reduce: Pointwise::new(builder, &format!("{path}.reduce"), reduce, true)?,
            expand: Pointwise::new(builder, &format!("{path}.expand"), expand, true)?,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        let pooled = pass.backend.global_average_pool(x)?;
        let hidden = pass.backend.relu(&self.reduce.forward(&pooled, pass)?)?;
        let gate = sigmoid(&self.expand.forward(&hidden, pass)?)?;
        Ok(x.broadcast_mul(&gate.unsqueeze(1)?.unsqueeze(1)?)?)
    }
}
