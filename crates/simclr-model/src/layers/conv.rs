//! Convolution as the original pads it.

use candle_core::{Tensor, Var};
use simclr_kernels::{Conv2dConfig, Measured};

use super::Pass;
use crate::builder::Builder;
use crate::{Initializer, Result, Role};

/// A square convolution's measures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConvShape {
    pub(crate) size: usize,
    pub(crate) stride: usize,
    pub(crate) input: usize,
    pub(crate) output: usize,
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
        let kernel = builder.variable(
            (path, &original),
            "kernel",
            &[size, size, input, output],
            Role::ConvKernel,
            Initializer::VarianceScaling {
                fan_in: size * size * input,
            },
        )?;
        Ok(Self {
            kernel,
            config: Conv2dConfig::original(size, stride),
        })
    }

    /// The convolution alone; the moments of its channels too if a batch norm will want them.
    pub(crate) fn forward(&self, x: &Tensor, pass: Pass) -> Result<Measured> {
        let kernel = self.kernel(pass);
        if pass.batch_statistics {
            return Ok(pass.backend.conv2d_measured(x, &kernel, self.config)?);
        }
        Ok(pass.backend.conv2d(x, &kernel, self.config)?.into())
    }

    pub(crate) fn kernel(&self, pass: Pass) -> Tensor {
        pass.parameter(&self.kernel)
    }

    pub(crate) fn config(&self) -> Conv2dConfig {
        self.config
    }
}
