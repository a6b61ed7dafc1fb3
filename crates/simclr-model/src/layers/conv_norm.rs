//! Convolution and batch norm, the unit that every ResNet repeats.

use simclr_kernels::{Activation, FeatureMap};

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
        x: &FeatureMap,
        pass: Pass,
        activation: Activation,
        residual: Option<&FeatureMap>,
    ) -> Result<FeatureMap> {
        self.forward_flow(Flow::Computed(x.clone()), pass, activation, residual)
    }

    /// As `forward`, from what the layer before may have left to be computed.
    pub(crate) fn forward_flow(
        &self,
        x: Flow<'_>,
        pass: Pass,
        activation: Activation,
        residual: Option<&FeatureMap>,
    ) -> Result<FeatureMap> {
        if !pass.batch_statistics {
            let x = x.compute(pass)?;
            let conv = &self.conv;
            return self
                .norm
                .after_convolution(conv, &x, pass, activation, residual);
        }
        let y = self.convolve(x, pass)?;
        self.norm.forward(&y, pass, activation, residual)
    }

    /// `relu(bn(conv(x)))`; in training, batch norm and ReLU are left to the layer after,
    /// which then need not keep their result.
    pub(crate) fn rectified<'a>(&'a self, x: Flow<'_>, pass: Pass) -> Result<Flow<'a>> {
        if !pass.batch_statistics {
            let y = self.forward_flow(x, pass, Activation::Relu, None)?;
            return Ok(Flow::Computed(y));
        }
        Ok(Flow::Rectified {
            map: self.convolve(x, pass)?,
            norm: &self.norm,
        })
    }

    fn convolve(&self, x: Flow<'_>, pass: Pass) -> Result<FeatureMap> {
        match x {
            Flow::Computed(x) => self.conv.forward(&x, pass),
            Flow::Rectified { map, norm } => norm.before_convolution(&map, &self.conv, pass),
        }
    }
}

/// What passes from one unit to the next within a block.
pub(crate) enum Flow<'a> {
    /// A map as it is.
    Computed(FeatureMap),
    /// `relu(norm(map))`, to be computed.
    Rectified {
        map: FeatureMap,
        norm: &'a BatchNorm,
    },
}

impl Flow<'_> {
    /// The map itself.
    pub(crate) fn compute(self, pass: Pass) -> Result<FeatureMap> {
        match self {
            Self::Computed(map) => Ok(map),
            Self::Rectified { map, norm } => norm.forward(&map, pass, Activation::Relu, None),
        }
    }
}
