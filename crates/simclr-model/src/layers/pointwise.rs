//! A 1x1 convolution on a single pixel.

use candle_core::{Tensor, Var};

use super::Pass;
use crate::builder::Builder;
use crate::{Initializer, Result, Role};

/// A 1x1 convolution of globally pooled features `[n, in]`: stored as the convolution that it is
/// in the original, computed as the dense layer that it amounts to.
#[derive(Debug, Clone)]
pub(crate) struct Pointwise {
    kernel: Var,
    bias: Option<Var>,
    shape: (usize, usize),
}

impl Pointwise {
    pub(crate) fn new(
        builder: &mut Builder<'_>,
        path: &str,
        shape: (usize, usize),
        bias: bool,
    ) -> Result<Self> {
        let original = builder.next_convolution();
        let names = (path, original.as_str());
        let (input, output) = shape;
        let kernel_shape = [1, 1, input, output];
        let scaling = Initializer::VarianceScaling { fan_in: input };
        let kernel = builder.variable(names, "kernel", &kernel_shape, Role::ConvKernel, scaling)?;
        let zero = Initializer::Constant(0.0);
        let bias = match bias {
            true => Some(builder.variable(names, "bias", &[output], Role::Bias, zero)?),
            false => None,
        };
        Ok(Self {
            kernel,
            bias,
            shape,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        let kernel = pass.parameter(&self.kernel).reshape(self.shape)?;
        let bias = self.bias.as_ref().map(|bias| pass.parameter(bias));
        Ok(pass.backend.dense(x, &kernel, bias.as_ref())?)
    }
}
