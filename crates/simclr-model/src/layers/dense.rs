//! Dense layer.

use candle_core::{Tensor, Var};

use super::pass::Pass;
use crate::builder::Builder;
use crate::error::Result;
use crate::parameter::{Initializer, Role};

/// `x * kernel + bias` for rows `[n, in]`.
#[derive(Debug, Clone)]
pub(crate) struct Dense {
    kernel: Var,
    bias: Option<Var>,
    shape: (usize, usize),
}

impl Dense {
    pub(crate) fn new(
        builder: &mut Builder<'_>,
        names: (&str, &str),
        shape: (usize, usize),
        with_bias: bool,
        initializer: Initializer,
    ) -> Result<Self> {
        let (input, output) = shape;
        let role = Role::DenseKernel;
        let kernel = builder.variable(names, "kernel", &[input, output], role, initializer)?;
        Self::with_kernel(builder, names, shape, with_bias, kernel)
    }

    /// A 1x1 convolution of globally pooled features, stored as the convolution that it is in
    /// the original and computed as the dense layer that it amounts to.
    pub(crate) fn pointwise(
        builder: &mut Builder<'_>,
        path: &str,
        shape: (usize, usize),
        with_bias: bool,
    ) -> Result<Self> {
        let original = builder.next_convolution();
        let names = (path, original.as_str());
        let (input, output) = shape;
        let scaling = Initializer::VarianceScaling { fan_in: input };
        let kernel = [1, 1, input, output];
        let kernel = builder.variable(names, "kernel", &kernel, Role::ConvKernel, scaling)?;
        Self::with_kernel(builder, names, shape, with_bias, kernel)
    }

    fn with_kernel(
        builder: &mut Builder<'_>,
        names: (&str, &str),
        shape: (usize, usize),
        with_bias: bool,
        kernel: Var,
    ) -> Result<Self> {
        let mut bias = None;
        if with_bias {
            let zero = Initializer::Constant(0.0);
            bias = Some(builder.variable(names, "bias", &[shape.1], Role::Bias, zero)?);
        }
        Ok(Self {
            kernel,
            bias,
            shape,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        let mut kernel = pass.parameter(&self.kernel);
        if kernel.rank() > 2 {
            kernel = kernel.reshape(self.shape)?;
        }
        let bias = self.bias.as_ref().map(|bias| pass.parameter(bias));
        Ok(pass.backend.dense(x, &kernel, bias.as_ref())?)
    }
}
