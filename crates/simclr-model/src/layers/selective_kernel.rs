//! Selective kernels, <https://arxiv.org/abs/1903.06586>, as SimCLRv2 has them.

use candle_core::{D, Tensor};
use candle_nn::ops::sigmoid;
use simclr_kernels::{Activation, FeatureMap};

use super::pointwise::Pointwise;
use super::{BatchNorm, BatchNormOptions, BatchNormSettings, ConvNorm, ConvShape, Pass};
use crate::Result;
use crate::builder::Builder;

/// The narrowest gate.
const MINIMUM_GATE_WIDTH: usize = 32;

/// Two 3x3 convolutions side by side, mixed per channel by a gate that sees the pooled sum.
#[derive(Debug, Clone)]
pub(crate) struct SelectiveKernel {
    streams: ConvNorm,
    reduce: Pointwise,
    reduce_norm: BatchNorm,
    expand: Pointwise,
    filters: usize,
}

impl SelectiveKernel {
    /// `shape` is that of one stream.
    pub(crate) fn new(
        builder: &mut Builder<'_>,
        path: &str,
        shape: ConvShape,
        ratio: f64,
        settings: BatchNormSettings,
    ) -> Result<Self> {
        let filters = shape.output;
        let both = ConvShape {
            output: 2 * filters,
            ..shape
        };
        let usual = BatchNormOptions::default();
        let streams = ConvNorm::new(builder, path, "", both, settings, usual)?;
        let width = ((filters as f64 * ratio) as usize).max(MINIMUM_GATE_WIDTH);
        let gate = (filters, width);
        let reduce = Pointwise::new(builder, &format!("{path}.reduce"), gate, false)?;
        let norm_path = format!("{path}.reduce_batch_norm");
        let reduce_norm = BatchNorm::new(builder, &norm_path, width, settings, usual)?;
        let gate = (width, 2 * filters);
        let expand = Pointwise::new(builder, &format!("{path}.expand"), gate, false)?;
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
        let pooled = both.global_average_pool()?;
        let both = both.into_tensor()?;
        let first = both.narrow(D::Minus1, 0, self.filters)?;
        let second = both.narrow(D::Minus1, self.filters, self.filters)?;
        let sum =
            (pooled.narrow(1, 0, self.filters)? + pooled.narrow(1, self.filters, self.filters)?)?;
        let weight = self.weight_of_first(&sum, pass)?;
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
        let logits = self.expand.forward(&hidden, pass)?;
        let difference =
            (logits.narrow(1, 0, self.filters)? - logits.narrow(1, self.filters, self.filters)?)?;
        Ok(sigmoid(&difference)?.unsqueeze(1)?.unsqueeze(1)?)
    }
}
