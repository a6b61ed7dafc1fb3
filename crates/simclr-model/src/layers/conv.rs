//! Convolution as the original pads it.

use candle_core::{Tensor, Var};
use simclr_kernels::{Conv2dConfig, FeatureMap};

use super::pass::Pass;
use crate::builder::Builder;
use crate::error::Result;
use crate::parameter::{Initializer, Role};

/// The shape of a square convolution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConvShape {
    pub(crate) size: usize,
    pub(crate) stride: usize,
    pub(crate) input: usize,
    pub(crate) output: usize,
}

impl ConvShape {
    /// A `size` x `size` convolution from `input` to `output` channels.
    pub(crate) fn new(size: usize, stride: usize, (input, output): (usize, usize)) -> Self {
        Self {
            size,
            stride,
            input,
            output,
        }
    }
}

/// Convolution without bias: at stride 1 `SAME`, above that the original's fixed padding,
/// which depends on the kernel and not on the image.
#[derive(Debug, Clone)]
pub(crate) struct Conv {
    kernel: Var,
    config: Conv2dConfig,
}

impl Conv {
    pub(crate) fn new(builder: &mut Builder<'_>, path: &str, shape: ConvShape) -> Result<Self> {
        let original = builder.next_convolution();
        let ConvShape {
            size,
            stride,
            input,
            output,
        } = shape;
        let fan_in = size * size * input;
        let kernel = builder.variable(
            (path, &original),
            "kernel",
            &[size, size, input, output],
            Role::ConvKernel,
            Initializer::VarianceScaling { fan_in },
        )?;
        Ok(Self {
            kernel,
            config: Conv2dConfig::original(size, stride),
        })
    }

    /// The convolution alone; with the statistics of its channels if a batch norm will want them.
    pub(crate) fn forward(&self, x: &FeatureMap, pass: Pass) -> Result<FeatureMap> {
        let kernel = self.kernel(pass);
        Ok(if pass.batch_statistics {
            x.conv2d_with_stats(&kernel, self.config)?
        } else {
            x.conv2d(&kernel, self.config)?
        })
    }

    pub(crate) fn kernel(&self, pass: Pass) -> Tensor {
        pass.parameter(&self.kernel)
    }

    pub(crate) fn config(&self) -> Conv2dConfig {
        self.config
    }
}
