//! Whole networks in our format.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use candle_core::{Device, Tensor, Var};
use serde_json::Value;
use simclr_model::{Encoder, LoadReport, ParameterSpec, Parameters, SimClr, SimClrConfig};

use crate::architecture::{Differences, Shapes};
use crate::error::{Error, InFile, Result};
use crate::format::container::CheckpointFile;
use crate::format::metadata::{Metadata, Source};
use crate::format::reader::SafetensorsReader;
use crate::value_check::{check_tensor, check_values};

/// A network read from one of our files.
#[derive(Debug)]
pub struct LoadedModel {
    /// The network, with its values.
    pub model: SimClr,
    /// What the file says about itself.
    pub metadata: Metadata,
    /// The file's other tensors: an optimizer's state, if it was kept.
    pub state: BTreeMap<String, Tensor>,
}

/// Puts a network into a checkpoint, to be saved as it is or with more in it.
///
/// # Errors
/// Fails if the model's parameters have two of one name.
pub fn model_checkpoint(model: &SimClr, source: Source) -> Result<CheckpointFile> {
    let path = Path::new(&source.name);
    let metadata = Metadata::of_network(path, model.config(), source.clone())?;
    let parameters = model.store().in_file(path)?;
    let tensor = |(name, variable): (&str, &Var)| (name.to_owned(), variable.as_tensor().clone());
    Ok(CheckpointFile {
        tensors: parameters.iter().map(tensor).collect(),
        metadata,
    })
}

/// Adds an optimizer's state to a [`model_checkpoint`], so that [`load_model`] finds it again.
///
/// # Errors
/// [`Error::Setting`] with the first name that is a parameter's, or that is neither `optimizer.*`
/// nor `<parameter>.<word>`. Then nothing was added.
pub fn add_state(file: &mut CheckpointFile, state: BTreeMap<String, Tensor>) -> Result<()> {
    let is_parameter = |name: &str| file.tensors.contains_key(name);
    let mut names = state.keys();
    if let Some(name) = names.find(|name| is_parameter(name) || !is_state(name, is_parameter)) {
        let what = if is_parameter(name) {
            ", a parameter's"
        } else {
            ""
        };
        return Err(Error::Setting {
            setting: "names in the optimizer's state",
            expected: "`optimizer.<name>` or `<parameter>.<word>`".to_owned(),
            found: format!("`{name}`{what}"),
        });
    }
    file.tensors.extend(state);
    Ok(())
}

/// Saves a network; [`LoadNetwork`] reads it.
///
/// # Errors
/// Fails if the folder cannot be written to. [`Error::InvalidValues`], as when it is read.
pub fn save_model(path: impl AsRef<Path>, model: &SimClr, source: Source) -> Result<()> {
    let file = model_checkpoint(model, source)?;
    file.check_values(path.as_ref())?;
    file.save(path)
}

/// Reads a network: the one that the file describes, strictly.
///
/// # Errors
/// [`Error::DoesNotFit`] if a tensor is missing, left over or of another shape than the
/// architecture in the file's metadata wants. Tensors of an optimizer's state, whose names
/// begin with a parameter's name or `optimizer.`, are not left over.
/// [`simclr_files::Error::Digest`] if the file has changed since it was written. [`Error::InvalidValues`] if
/// a parameter has NaN, infinity or a negative variance.
pub fn load_model(path: impl AsRef<Path>, device: &Device) -> Result<LoadedModel> {
    let path = path.as_ref();
    let file = ModelFile::open(path)?;
    let model = file.model(device)?;
    let specs = file.config.parameter_specs().in_file(path)?;
    let is_parameter = |name: &str| specs.iter().any(|spec| spec.name == name);
    let others = file.reader.tensors().keys();
    let state = others
        .filter(|name| !is_parameter(name))
        .map(|name| {
            let tensor = file.reader.read(name)?.into_tensor(device);
            Ok((name.clone(), tensor.in_file(path)?))
        })
        .collect::<Result<_>>()?;
    Ok(LoadedModel {
        model,
        metadata: file.metadata,
        state,
    })
}

/// Networks that can be read from one of our files, whatever optimizer's state is in it too: a
/// training checkpoint of LARS, SGD, Adam or any optimizer that names its tensors `optimizer.*`
/// or by a parameter's name and one more word (`encoder.stem.conv.kernel.momentum`).
///
/// ```
/// use candle_core::Device;
/// use simclr_checkpoint::{LoadNetwork, Source, save_model};
/// use simclr_model::{Encoder, ResNetConfig, SimClr, SimClrConfig, Stem};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.safetensors");
/// let config = SimClrConfig::new(ResNetConfig::depth(18).with_stem(Stem::Cifar));
/// save_model(&path, &SimClr::initialize(&config, 1, &Device::Cpu)?, Source::default())?;
/// let model = SimClr::load(&path, &Device::Cpu)?;
/// let frozen = Encoder::load(&path, &Device::Cpu)?.frozen();
/// assert_eq!(frozen.config(), &model.config().encoder);
/// # Ok(())
/// # }
/// ```
pub trait LoadNetwork: Sized {
    /// Reads the network that the file describes, strictly.
    ///
    /// # Errors
    /// As [`load_model`].
    fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self>;
}

impl LoadNetwork for SimClr {
    fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        ModelFile::open(path.as_ref())?.model(device)
    }
}

/// The heads in the file, if any, are left out.
impl LoadNetwork for Encoder {
    fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let file = ModelFile::open(path)?;
        let config = &file.config.encoder;
        let specs = config.parameter_specs().in_file(path)?;
        file.check(&specs, false)?;
        let parameters = file.parameters(&specs, device)?;
        Encoder::new(config, parameters.var_builder()).in_file(path)
    }
}

/// Reads the values of an existing network, which must be the one in the file.
///
/// # Errors
/// [`Error::Architecture`] if the file holds another network, setting by setting;
/// [`Error::Model`] if its tensors and the parameters do not match one to one, with the first
/// of those that differ and both shapes; [`Error::InvalidValues`]. Then nothing has changed.
pub fn load_parameters(
    path: impl AsRef<Path>,
    expected: &SimClrConfig,
    parameters: &Parameters,
) -> Result<LoadReport> {
    let path = path.as_ref();
    let checkpoint = CheckpointFile::load(path, &Device::Cpu)?;
    check_architecture(path, &checkpoint.metadata, expected)?;
    let is_state = |name: &str| is_state(name, |name| parameters.get(name).is_some());
    let tensors = checkpoint.tensors.iter();
    let tensors = tensors.filter(|(name, _)| !is_state(name));
    let tensors: Vec<_> = tensors
        .map(|(name, tensor)| (name.as_str(), tensor))
        .collect();
    for (name, tensor) in &tensors {
        check_tensor(path, name, tensor)?;
    }
    parameters.load(tensors).in_file(path)
}

/// Compares the network that a file describes with the expected one.
///
/// # Errors
/// [`Error::Architecture`] names each setting that differs, with both values.
pub fn check_architecture(path: &Path, metadata: &Metadata, expected: &SimClrConfig) -> Result<()> {
    let found = serde_json::to_value(config_of(path, metadata)?);
    let wanted = serde_json::to_value(expected);
    let (Ok(found), Ok(wanted)) = (found, wanted) else {
        let reason = "the architecture is not a JSON value";
        return Err(Error::malformed(path, reason));
    };
    let mut differences = Vec::new();
    compare("", &found, &wanted, &mut differences);
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::Architecture {
        path: path.to_owned(),
        differences: differences.join(", "),
    })
}

/// Lists the paths at which two values differ.
fn compare(at: &str, found: &Value, wanted: &Value, differences: &mut Vec<String>) {
    if let (Value::Object(found), Value::Object(wanted)) = (found, wanted) {
        let others = wanted.keys().filter(|name| !found.contains_key(*name));
        for name in found.keys().chain(others) {
            let at = match at {
                "" => name.clone(),
                at => format!("{at}.{name}"),
            };
            let null = Value::Null;
            let (found, wanted) = (found.get(name), wanted.get(name));
            compare(
                &at,
                found.unwrap_or(&null),
                wanted.unwrap_or(&null),
                differences,
            );
        }
    } else if found != wanted {
        differences.push(format!("{at} is {found}, expected {wanted}"));
    }
}

/// The network that a file describes.
pub(crate) fn config_of(path: &Path, metadata: &Metadata) -> Result<SimClrConfig> {
    let none = || Error::malformed(path, "no `architecture` in the metadata: not a network");
    serde_json::from_value(metadata.architecture.clone().ok_or_else(none)?)
        .map_err(|error| Error::malformed(path, format!("metadata `architecture`: {error}")))
}

/// Whether a tensor belongs to an optimizer: `optimizer.*`, or a parameter's name and a word.
fn is_state(name: &str, is_parameter: impl Fn(&str) -> bool) -> bool {
    let owner = name.rsplit_once('.').map(|(owner, _)| owner);
    name.starts_with("optimizer.") || owner.is_some_and(is_parameter)
}

/// An open file of ours with a network in it.
pub(crate) struct ModelFile {
    pub(crate) reader: SafetensorsReader,
    pub(crate) metadata: Metadata,
    pub(crate) config: SimClrConfig,
}

impl ModelFile {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let reader = SafetensorsReader::open(path)?;
        let metadata = Metadata::from_entries(path, reader.metadata().clone())?;
        reader.verify()?;
        Ok(Self {
            config: config_of(path, &metadata)?,
            metadata,
            reader,
        })
    }

    /// Fails unless all parameters are there, in their shapes (and nothing else, if `strict`).
    pub(crate) fn check(&self, specs: &[ParameterSpec], strict: bool) -> Result<()> {
        let known: BTreeSet<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        let tensors = self.reader.tensors().iter();
        let shapes: Shapes = tensors
            .filter(|(name, _)| known.contains(name.as_str()) || strict)
            .filter(|(name, _)| !is_state(name, |name| known.contains(name)))
            .map(|(name, entry)| (name.clone(), entry.shape.clone()))
            .collect();
        let differences = Differences::between(specs, &shapes, |spec| Some(spec.name.clone()));
        differences.into_result(self.reader.path(), &self.config)
    }

    /// The whole network, strictly.
    fn model(&self, device: &Device) -> Result<SimClr> {
        let path = self.reader.path();
        let specs = self.config.parameter_specs().in_file(path)?;
        self.check(&specs, true)?;
        let parameters = self.parameters(&specs, device)?;
        SimClr::new(&self.config, parameters.var_builder()).in_file(path)
    }

    fn parameters(&self, specs: &[ParameterSpec], device: &Device) -> Result<Parameters> {
        let path = self.reader.path();
        let variable = |spec: &ParameterSpec| {
            let values = self.reader.read(&spec.name)?.values;
            check_values(path, &spec.name, &values)?;
            let values = values.into_f32();
            let variable = Var::from_vec(values, spec.shape.as_slice(), device);
            Ok((spec.name.clone(), variable.in_file(path)?))
        };
        let variables = specs.iter().map(variable).collect::<Result<Vec<_>>>()?;
        Parameters::from_variables(variables).in_file(path)
    }
}
