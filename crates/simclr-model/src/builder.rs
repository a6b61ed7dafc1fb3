//! Building layers, or only listing what they would need.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;

use crate::config::{BatchNormSettings, ResNetConfig};
use crate::error::Result;
use crate::parameter::{Initializer, ModelStage, ParameterSpec, Role};

/// A parameter with its variable.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// What it is.
    pub spec: ParameterSpec,
    /// Its values.
    pub variable: Var,
}

/// A layer that gradient checkpointing can run again, and the variables that a gradient may
/// reach in it.
#[derive(Debug, Clone)]
pub(crate) struct Checkpointable<L> {
    pub(crate) layer: Arc<L>,
    pub(crate) variables: Vec<Var>,
}

/// Hands variables to the layers' constructors, in the original's order of calls, and notes
/// what it handed out. Without a source the variables are empty: then only the notes matter,
/// so the list of parameters and the layers can never disagree.
pub(crate) struct Builder<'a> {
    source: Option<VarBuilder<'a>>,
    parameters: Vec<Parameter>,
    convolutions: usize,
    batch_norms: usize,
    stage: ModelStage,
    /// Decay and epsilon of the following batch norms.
    pub(crate) batch_norm: BatchNormSettings,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(source: VarBuilder<'a>) -> Self {
        Self::with(Some(source))
    }

    fn with(source: Option<VarBuilder<'a>>) -> Self {
        Self {
            source,
            parameters: Vec::new(),
            convolutions: 0,
            batch_norms: 0,
            stage: ModelStage::Stem,
            batch_norm: ResNetConfig::default().batch_norm(),
        }
    }

    /// The specs of everything that `build` asks for.
    pub(crate) fn specs_of<T>(
        build: impl FnOnce(&mut Builder<'_>) -> Result<T>,
    ) -> Result<Vec<ParameterSpec>> {
        let mut builder = Builder::with(None);
        build(&mut builder)?;
        let parameters = builder.parameters.into_iter();
        Ok(parameters.map(|parameter| parameter.spec).collect())
    }

    /// Everything handed out so far.
    pub(crate) fn into_parameters(self) -> Vec<Parameter> {
        self.parameters
    }

    /// Builds a layer and notes the variables that a gradient may reach in it.
    pub(crate) fn checkpointable<L>(
        &mut self,
        build: impl FnOnce(&mut Self) -> Result<L>,
    ) -> Result<Checkpointable<L>> {
        let start = self.parameters.len();
        let layer = Arc::new(build(self)?);
        let parameters = self.parameters.iter().skip(start);
        let trainable = parameters.filter(|p| p.spec.role.is_trainable());
        let variables = trainable.map(|p| p.variable.clone()).collect();
        Ok(Checkpointable { layer, variables })
    }

    /// The stage that the following variables belong to.
    pub(crate) fn enter(&mut self, stage: ModelStage) {
        self.stage = stage;
    }

    /// The original's name of the next convolution: one counter runs over the whole encoder.
    pub(crate) fn next_convolution(&mut self) -> String {
        numbered("base_model/conv2d", &mut self.convolutions)
    }

    /// The original's name of the next batch norm: they have a counter of their own.
    pub(crate) fn next_batch_norm(&mut self) -> String {
        numbered("base_model/batch_normalization", &mut self.batch_norms)
    }

    pub(crate) fn variable(
        &mut self,
        names: (&str, &str),
        leaf: &str,
        shape: &[usize],
        role: Role,
        initializer: Initializer,
    ) -> Result<Var> {
        let (path, original) = names;
        let spec = ParameterSpec {
            name: format!("{path}.{leaf}"),
            original_name: format!("{original}/{leaf}"),
            shape: shape.to_vec(),
            role,
            stage: self.stage,
            initializer,
        };
        let tensor = match &self.source {
            Some(source) => source.get_with_hints(shape, &spec.name, initializer.hint())?,
            None => Tensor::zeros((), DType::F32, &Device::Cpu)?,
        };
        let variable = Var::from_tensor(&tensor)?;
        self.parameters.push(Parameter {
            spec,
            variable: variable.clone(),
        });
        Ok(variable)
    }
}

/// `stem`, `stem_1`, `stem_2`, ...
fn numbered(stem: &str, counter: &mut usize) -> String {
    let name = match *counter {
        0 => stem.to_owned(),
        number => format!("{stem}_{number}"),
    };
    *counter += 1;
    name
}
