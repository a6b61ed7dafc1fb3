//! Convolution and batch norm, the unit that every ResNet repeats.

use candle_core::Tensor;
use simclr_kernels::Activation;

use super::{BatchNorm, BatchNormOptions, BatchNormSettings, Conv, ConvShape, Pass};
use crate::Result;
use crate::builder::Builder;

/// `activation(bn(conv(x)) + residual)`.
#[derive(Debug, Clone)]
pub(crate) struct ConvNorm {
    pub(crate) conv: Conv,
    pub(crate) norm: BatchNorm,
}

impl ConvNorm {
    /// Variables at `<path>.conv<suffix>` and `<path>.batch_norm<suffix>`.
    pub(crate) fn new(
        builder: &mut Builder<'_>,
        path: &str,
        suffix: &str,
        shape: ConvShape,
        settings: BatchNormSettings,
        options: BatchNormOptions,
    ) -> Result<Self> {
        let conv = Conv::new(builder, &format!("{path}.conv{suffix}"), shape)?;
        let path = format!("{path}.batch_norm{suffix}");
        let norm = BatchNorm::new(builder, &path, shape.output, settings, options)?;
        Ok(Self { conv, norm })
    }

    pub(crate) fn forward(
        &self,
        x: &Tensor,
        pass: Pass,
        activation: Activation,
        residual: Option<&Tensor>,
    ) -> Result<Tensor> {
        let y = self.conv.forward(x, pass)?;
        self.norm.forward(&y, pass, activation, residual)
    }
}
