//! The store of a model's parameters.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;

use crate::error::{Error, Result};
use crate::initialize::initial_values;
use crate::load_report::{LoadReport, ShapeDifference};
use crate::parameter::ParameterSpec;

/// Named variables in the order of their names.
///
/// A clone shares the variables: what a training step changes is seen by all clones and by
/// all models built from [`Self::var_builder`].
///
/// ```
/// use candle_core::Device;
/// use simclr_model::{Encoder, Parameters, ResNetConfig};
///
/// let config = ResNetConfig::depth(18);
/// let parameters = Parameters::initialize(&config.parameter_specs()?, 42, &Device::Cpu)?;
/// let encoder = Encoder::new(&config, parameters.var_builder())?;
/// assert_eq!(parameters.len(), encoder.parameters().len());
/// # Ok::<(), simclr_model::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    variables: BTreeMap<String, Var>,
}

impl Parameters {
    /// Draws the initial values (f32) of all parameters.
    ///
    /// Each parameter has its own stream, chosen by the seed and the name: the same seed gives
    /// the same encoder whatever heads are put on it.
    ///
    /// # Errors
    /// [`Error::DuplicateParameter`] if two specs have the same name.
    pub fn initialize(specs: &[ParameterSpec], seed: u64, device: &Device) -> Result<Self> {
        let variables = specs.iter().map(|spec| {
            let values = initial_values(spec, seed);
            let variable = Var::from_vec(values, spec.shape.as_slice(), device)?;
            Ok((spec.name.clone(), variable))
        });
        Self::collect(variables)
    }

    /// Takes existing variables; nothing is copied.
    ///
    /// # Errors
    /// [`Error::DuplicateParameter`] if a name comes twice.
    pub fn from_variables(variables: impl IntoIterator<Item = (String, Var)>) -> Result<Self> {
        Self::collect(variables.into_iter().map(Ok))
    }

    fn collect(variables: impl Iterator<Item = Result<(String, Var)>>) -> Result<Self> {
        let mut parameters = Self::default();
        for variable in variables {
            let (name, variable) = variable?;
            if parameters.variables.contains_key(&name) {
                return Err(Error::DuplicateParameter(name));
            }
            parameters.variables.insert(name, variable);
        }
        Ok(parameters)
    }

    /// The variable of this name.
    pub fn get(&self, name: &str) -> Option<&Var> {
        self.variables.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// All names and variables, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.variables
            .iter()
            .map(|(name, var)| (name.as_str(), var))
    }

    /// The number of variables.
    pub fn len(&self) -> usize {
        self.variables.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.variables.is_empty()
    }

    /// The number of values in all variables.
    pub fn element_count(&self) -> usize {
        self.variables.values().map(|v| v.elem_count()).sum()
    }

    /// A builder for this crate's and any other candle module. What it builds shares these
    /// variables; a name that is not here is an error.
    pub fn var_builder(&self) -> VarBuilder<'static> {
        let (dtype, device) = self.variables.values().next().map_or_else(
            || (DType::F32, Device::Cpu),
            |variable| (variable.dtype(), variable.device().clone()),
        );
        VarBuilder::from_backend(Box::new(self.clone()), dtype, device)
    }

    /// A copy with its own values.
    ///
    /// # Errors
    /// Fails if the device cannot copy.
    pub fn deep_copy(&self) -> Result<Self> {
        let copies = self
            .variables
            .iter()
            .map(|(name, variable)| Ok((name.clone(), Var::from_tensor(&variable.copy()?)?)));
        Self::collect(copies)
    }

    /// Compares names and shapes with those of other tensors without changing anything.
    pub fn compare<'a>(
        &self,
        tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    ) -> LoadReport {
        let mut report = LoadReport::default();
        for (name, tensor) in tensors {
            match self.variables.get(name) {
                None => report.unexpected.push(name.to_owned()),
                Some(variable) if variable.dims() != tensor.dims() => {
                    report.different_shape.push(ShapeDifference {
                        name: name.to_owned(),
                        expected: variable.dims().to_vec(),
                        found: tensor.dims().to_vec(),
                    });
                }
                Some(_) => report.matched.push(name.to_owned()),
            }
        }
        report.sort();
        let found = |name: &String| {
            report.matched.binary_search(name).is_ok()
                || report.different_shape.iter().any(|d| d.name == *name)
        };
        report.missing = self
            .variables
            .keys()
            .filter(|n| !found(n))
            .cloned()
            .collect();
        report
    }

    /// Fills all variables from the tensors, which must match one to one in name and shape.
    /// On an error nothing has changed.
    ///
    /// # Errors
    /// [`Error::Mismatch`] says what is missing, unexpected or of another shape.
    pub fn load<'a>(
        &self,
        tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)> + Clone,
    ) -> Result<LoadReport> {
        let report = self.compare(tensors.clone());
        if !report.is_exact() {
            return Err(Error::Mismatch(Box::new(report)));
        }
        self.assign(tensors)?;
        Ok(report)
    }

    /// Fills the variables that the tensors match in name and shape, and reports the rest.
    ///
    /// # Errors
    /// Fails if a tensor cannot be converted to its variable's type or device.
    pub fn load_matching<'a>(
        &self,
        tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)> + Clone,
    ) -> Result<LoadReport> {
        let report = self.compare(tensors.clone());
        self.assign(tensors)?;
        Ok(report)
    }

    fn assign<'a>(&self, tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<()> {
        for (name, tensor) in tensors {
            if let Some(variable) = self.variables.get(name)
                && variable.dims() == tensor.dims()
            {
                let tensor = tensor.to_device(variable.device())?;
                variable.set(&tensor.to_dtype(variable.dtype())?)?;
            }
        }
        Ok(())
    }
}

/// So that any candle module can be built on these parameters.
impl SimpleBackend for Parameters {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: candle_nn::Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let tensor = self.get_unchecked(name, dtype, device)?;
        if tensor.shape() != &shape {
            let error = candle_core::Error::UnexpectedShape {
                msg: format!("shape mismatch for {name}"),
                expected: shape,
                got: tensor.shape().clone(),
            };
            return Err(error.bt());
        }
        Ok(tensor)
    }

    fn get_unchecked(
        &self,
        name: &str,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let missing = || candle_core::Error::CannotFindTensor {
            path: name.to_owned(),
        };
        let variable = self.variables.get(name).ok_or_else(missing)?;
        variable.to_device(device)?.to_dtype(dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }
}
