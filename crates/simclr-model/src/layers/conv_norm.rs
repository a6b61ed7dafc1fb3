//! Convolution and batch norm, the unit that every ResNet repeats.

use simclr_kernels::{Activation, FeatureMap};

use super::batch_norm::BatchNorm;
use super::conv::{Conv, ConvShape};
use super::pass::Pass;
use crate::builder::Builder;
use crate::error::Result;

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
    ) -> Result<Self> {
        Self::with_gamma(builder, path, suffix, shape, 1.0)
    }

    /// As [`Self::new`], with this initial gamma.
    pub(crate) fn with_gamma(
        builder: &mut Builder<'_>,
        path: &str,
        suffix: &str,
        shape: ConvShape,
        gamma: f64,
    ) -> Result<Self> {
        let conv = Conv::new(builder, &format!("{path}.conv{suffix}"), shape)?;
        let path = format!("{path}.batch_norm{suffix}");
        let norm = BatchNorm::new(builder, &path, shape.output, gamma)?;
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

    /// As `forward`, from an input whose batch norm and ReLU may be pending.
    pub(crate) fn forward_flow(
        &self,
        x: Flow<'_>,
        pass: Pass,
        activation: Activation,
        residual: Option<&FeatureMap>,
    ) -> Result<FeatureMap> {
        if !pass.batch_statistics {
            let x = x.compute(pass)?;
            let Self { conv, norm } = self;
            return norm.after_convolution(conv, &x, pass, activation, residual);
        }
        let y = self.convolve(x, pass)?;
        self.norm.forward(&y, pass, activation, residual)
    }

    /// `relu(bn(conv(x)))`; in training, batch norm and ReLU are left to the next layer,
    /// which then need not save their result.
    pub(crate) fn relu<'a>(&'a self, x: Flow<'_>, pass: Pass) -> Result<Flow<'a>> {
        if !pass.batch_statistics {
            let y = self.forward_flow(x, pass, Activation::Relu, None)?;
            return Ok(Flow::Computed(y));
        }
        Ok(Flow::PendingRelu {
            map: self.convolve(x, pass)?,
            norm: &self.norm,
        })
    }

    fn convolve(&self, x: Flow<'_>, pass: Pass) -> Result<FeatureMap> {
        match x {
            Flow::Computed(x) => self.conv.forward(&x, pass),
            Flow::PendingRelu { map, norm } => norm.before_convolution(&map, &self.conv, pass),
        }
    }
}

/// What passes from one unit to the next within a block.
pub(crate) enum Flow<'a> {
    /// A map as it is.
    Computed(FeatureMap),
    /// `relu(norm(map))`, to be computed.
    PendingRelu {
        map: FeatureMap,
        norm: &'a BatchNorm,
    },
}

impl Flow<'_> {
    /// The map itself.
    pub(crate) fn compute(self, pass: Pass) -> Result<FeatureMap> {
        match self {
            Self::Computed(map) => Ok(map),
            Self::PendingRelu { map, norm } => norm.forward(&map, pass, Activation::Relu, None),
        }
    }
}
