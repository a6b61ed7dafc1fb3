//! One parameter: its names, its shape, its role and how it starts.

use serde::{Deserialize, Serialize};

/// What is known about a parameter before it has values.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterSpec {
    /// Our name, for example `encoder.block_group1.block0.conv1.kernel`.
    pub name: String,
    /// The name in TensorFlow checkpoints of the original,
    /// for example `base_model/conv2d_2/kernel`.
    pub original_name: String,
    /// The shape: convolution kernels `[height, width, in, out]`, dense kernels `[in, out]`,
    /// everything else `[channels]`.
    pub shape: Vec<usize>,
    /// What the parameter does.
    pub role: Role,
    /// The stage of the model that it belongs to.
    pub stage: ModelStage,
    /// The values that it starts with.
    pub initializer: Initializer,
}

impl ParameterSpec {
    /// The number of values.
    pub fn element_count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// What a parameter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Kernel of a convolution.
    ConvKernel,
    /// Kernel of a dense layer.
    DenseKernel,
    /// Bias of a convolution or a dense layer.
    Bias,
    /// Scale of a batch norm.
    Gamma,
    /// Offset of a batch norm.
    Beta,
    /// Moving mean of a batch norm; no gradient reaches it.
    MovingMean,
    /// Moving variance of a batch norm; no gradient reaches it.
    MovingVariance,
}

impl Role {
    /// Whether gradient descent changes such a parameter.
    pub fn is_trainable(self) -> bool {
        !matches!(self, Self::MovingMean | Self::MovingVariance)
    }
}

/// A stage of the model, in the order of the forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelStage {
    /// The layers before the first block.
    Stem,
    /// Block group 1 to 4.
    BlockGroup(usize),
    /// The projection head.
    ProjectionHead,
    /// The supervised head.
    SupervisedHead,
}

/// The values that a parameter starts with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initializer {
    /// Normal with variance `1 / fan_in`, cut off at two standard deviations and
    /// corrected for the cut (Keras' `VarianceScaling`): all convolutions.
    VarianceScaling {
        /// Inputs of one output value.
        fan_in: usize,
    },
    /// Normal around zero: all dense layers, with standard deviation 0.01.
    Normal {
        /// Standard deviation.
        standard_deviation: f64,
    },
    /// One value everywhere.
    Constant(f64),
}

/// Standard deviation of a standard normal variable that is cut off at +-2.
const TRUNCATED_STANDARD_DEVIATION: f64 = 0.879_625_661_034_239_8;

impl Initializer {
    /// Of the kernels of all dense layers.
    pub(crate) const DENSE: Self = Self::Normal {
        standard_deviation: 0.01,
    };

    /// Standard deviation of the normal distribution to draw from (before the cut).
    pub(crate) fn standard_deviation(self) -> f64 {
        match self {
            Self::VarianceScaling { fan_in } => {
                (1.0 / fan_in.max(1) as f64).sqrt() / TRUNCATED_STANDARD_DEVIATION
            }
            Self::Normal { standard_deviation } => standard_deviation,
            Self::Constant(_) => 0.0,
        }
    }

    /// The hint for a [`candle_nn::VarMap`], which draws for itself, unseeded and without a cut.
    pub(crate) fn hint(self) -> candle_nn::Init {
        let stdev = match self {
            Self::Constant(value) => return candle_nn::Init::Const(value),
            Self::VarianceScaling { fan_in } => (1.0 / fan_in.max(1) as f64).sqrt(),
            Self::Normal { standard_deviation } => standard_deviation,
        };
        candle_nn::Init::Randn { mean: 0.0, stdev }
    }
}
