//! Dense layer.

use candle_core::{Tensor, Var};

use super::Pass;
use crate::builder::Builder;
use crate::{Initializer, Result, Role};

/// `x * kernel + bias`.
#[derive(Debug, Clone)]
pub(crate) struct Dense {
    kernel: Var,
    bias: Option<Var>,
}

impl Dense {
    pub(crate) fn new(
        builder: &mut Builder<'_>,
        names: (&str, &str),
        shape: (usize, usize),
        bias: bool,
        initializer: Initializer,
    ) -> Result<Self> {
        let (input, output) = shape;
        let role = Role::DenseKernel;
        let kernel = builder.variable(names, "kernel", &[input, output], role, initializer)?;
        let zero = Initializer::Constant(0.0);
        let bias = match bias {
            true => Some(builder.variable(names, "bias", &[output], Role::Bias, zero)?),
            false => None,
        };
        Ok(Self { kernel, bias })
    }

    pub(crate) fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(|bias| pass.parameter(bias));
        Ok(pass
            .backend
            .dense(x, &pass.parameter(&self.kernel), bias.as_ref())?)
    }
}
