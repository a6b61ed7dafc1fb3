//! Selective kernels, <https://arxiv.org/abs/1903.06586>, as SimCLRv2 has them.

use candle_core::{D, Tensor};
use candle_nn::ops::sigmoid;
use simclr_kernels::{Activation, FeatureMap};

use super::batch_norm::BatchNorm;
use super::conv::ConvShape;
use super::conv_norm::ConvNorm;
use super::dense::Dense;
use super::pass::Pass;
use crate::builder::Builder;
use crate::error::Result;

/// The narrowest gate.
const MINIMUM_GATE_WIDTH: usize = 32;

/// Two 3x3 convolutions side by side, mixed per channel by a gate that sees the pooled sum.
#[derive(Debug, Clone)]
pub(crate) struct SelectiveKernel {
    streams: ConvNorm,
    reduce: Dense,
    reduce_norm: BatchNorm,
    expand: Dense,
    filters: usize,
}

impl SelectiveKernel {
    /// `shape` is that of one stream.
    pub(crate) fn new(
        builder: &mut Builder<'_>,
        path: &str,
        shape: ConvShape,
        ratio: f64,
    ) -> Result<Self> {
        let filters = shape.output;
        let both = ConvShape {
            output: 2 * filters,
            ..shape
        };
        let width = ((filters as f64 * ratio) as usize).max(MINIMUM_GATE_WIDTH);
        let path = |layer: &str| format!("{path}.selective_kernel{layer}");
        let (reduce, expand) = ((filters, width), (width, 2 * filters));
        // In the original's order of calls.
        let streams = ConvNorm::new(builder, &path(""), "", both)?;
        let reduce = Dense::pointwise(builder, &path(".reduce"), reduce, false)?;
        let reduce_norm = BatchNorm::new(builder, &path(".reduce_batch_norm"), width, 1.0)?;
        let expand = Dense::pointwise(builder, &path(".expand"), expand, false)?;
        Ok(Self {
            streams,
            reduce,
            reduce_norm,
            expand,
            filters,
        })
    }

    /// `[n, h, w, in]` to `[n, h', w', filters]`.
    pub(crate) fn forward(&self, x: &FeatureMap, pass: Pass) -> Result<FeatureMap> {
        let both = self.streams.forward(x, pass, Activation::Relu, None)?;
        let (pooled_first, pooled_second) = self.halves(&both.global_average_pool()?)?;
        let (first, second) = self.halves(&both.into_tensor()?)?;
        let weight = self.weight_of_first(&(pooled_first + pooled_second)?, pass)?;
        // first * w + second * (1 - w)
        let mixed = ((first - &second)?.broadcast_mul(&weight)? + second)?;
        Ok(FeatureMap::new(&mixed, pass.backend)?)
    }

    /// Softmax over two logits is the sigmoid of their difference: `[n, 1, 1, filters]`.
    fn weight_of_first(&self, pooled: &Tensor, pass: Pass) -> Result<Tensor> {
        let hidden = self.reduce.forward(pooled, pass)?;
        let hidden = self
            .reduce_norm
            .forward_rows(&hidden, pass, Activation::Relu)?;
        let (first, second) = self.halves(&self.expand.forward(&hidden, pass)?)?;
        Ok(sigmoid(&(first - second)?)?.unsqueeze(1)?.unsqueeze(1)?)
    }

    /// The channels of the first and of the second stream.
    fn halves(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        Ok((
            x.narrow(D::Minus1, 0, self.filters)?,
            x.narrow(D::Minus1, self.filters, self.filters)?,
        ))
    }
}
