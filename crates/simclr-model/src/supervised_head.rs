//! The supervised head: one linear layer to the classes.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};
use simclr_kernels::Backend;

use crate::builder::{Builder, Parameter};
use crate::checks::{check_count, check_features};
use crate::error::Result;
use crate::freeze::{Freeze, Mode};
use crate::layers::dense::Dense;
use crate::layers::pass::Pass;
use crate::parameter::{Initializer, ModelStage, ParameterSpec};
use crate::setters::setters;

/// Keeps a broken file's sizes from overflowing.
const MAXIMUM_CLASSES: usize = 1 << 20;

/// The form of the supervised head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SupervisedHeadConfig {
    /// Number of classes, 1 to 2^20.
    pub num_classes: usize,
    /// Whether the kernel starts at zero instead of small random values. Default: false.
    #[serde(default)]
    pub zero_init_logits: bool,
}

impl SupervisedHeadConfig {
    /// A head for this many classes.
    pub fn classes(num_classes: usize) -> Self {
        Self {
            num_classes,
            zero_init_logits: false,
        }
    }

    setters! {
        with_zero_init_logits, zero_init_logits: bool;
    }

    /// Checks the number of classes.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] if it is out of range.
    pub fn validate(&self) -> Result<()> {
        check_count("num_classes", self.num_classes, MAXIMUM_CLASSES)
    }

    /// The head's parameters for inputs of length `input_size`.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for an invalid configuration.
    pub fn parameter_specs(&self, input_size: usize) -> Result<Vec<ParameterSpec>> {
        Builder::specs_of(|builder| SupervisedHead::layer(builder, self, input_size))
    }
}

/// `logits = x * kernel + bias`.
#[derive(Debug, Clone)]
pub struct SupervisedHead {
    config: SupervisedHeadConfig,
    input_size: usize,
    dense: Dense,
    parameters: Vec<Parameter>,
    backend: Backend,
}

impl SupervisedHead {
    /// Builds the head on the variables that `variables` has below `supervised_head.`.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for an invalid configuration; an error that names the variable if one
    /// is missing or has another shape.
    pub fn new(
        config: &SupervisedHeadConfig,
        input_size: usize,
        variables: VarBuilder<'_>,
    ) -> Result<Self> {
        let mut builder = Builder::new(variables);
        let dense = Self::layer(&mut builder, config, input_size)?;
        Ok(Self {
            config: config.clone(),
            input_size,
            dense,
            parameters: builder.into_parameters(),
            backend: Backend::Auto,
        })
    }

    fn layer(
        builder: &mut Builder<'_>,
        config: &SupervisedHeadConfig,
        input_size: usize,
    ) -> Result<Dense> {
        config.validate()?;
        builder.enter(ModelStage::SupervisedHead);
        let names = (
            "supervised_head.dense",
            "head_supervised/linear_layer/dense",
        );
        let initializer = if config.zero_init_logits {
            Initializer::Constant(0.0)
        } else {
            Initializer::DENSE
        };
        let shape = (input_size, config.num_classes);
        Dense::new(builder, names, shape, true, initializer)
    }

    /// The form of the head.
    pub fn config(&self) -> &SupervisedHeadConfig {
        &self.config
    }

    /// Sets what computes all later passes. Default: [`Backend::Auto`].
    pub fn set_backend(&mut self, backend: Backend) {
        self.backend = backend;
    }

    /// The parameters: kernel and bias.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Logits `[n, num_classes]` of features `[n, input_size]`. The gradient flows on into the
    /// features unless they are detached.
    ///
    /// # Errors
    /// [`crate::Error::Input`] for another shape.
    pub fn forward(&self, features: &Tensor, mode: Mode) -> Result<Tensor> {
        check_features("supervised head", features, self.input_size)?;
        let pass = Pass::new(mode, Freeze::None, ModelStage::SupervisedHead, self.backend);
        self.dense.forward(features, pass)
    }
}
