//! Networks from other people's files.

mod options;
mod pytorch;
mod report;
mod source;
mod tensorflow;

use std::io::Write;
use std::path::Path;

use candle_core::{Device, Tensor, Var};
use simclr_model::{ParameterSpec, Parameters, Role, SimClr, SimClrConfig};

pub use options::{Heads, ImportOptions};
pub use report::{Origin, Report, Unused};
pub use tensorflow::recognize;

use crate::architecture::{Differences, describe};
use crate::element::ElementType;
use crate::format::{Metadata, Preprocessing, Source, TensorPlan, write_safetensors};
use crate::torch::Layout;
use crate::{CheckpointFile, Error, Result};
use simclr_files::Durability;
pub(crate) use source::for_each_chunk_of;
use source::{SourceFile, SourceVariable};

/// Seed of the initial values of parameters that the source lacks.
const SEED: u64 = 0;

/// The counter of an optimizer's steps, as this workspace's optimizers name it.
const OPTIMIZER_STEP: &str = "optimizer.step";

/// A network found in a file: recognised and accounted for, its values not yet read.
pub struct Imported {
    config: SimClrConfig,
    report: Report,
    source: SourceFile,
    tensors: Vec<Assignment>,
}

/// One tensor of ours, and where its values are.
#[derive(Debug, Clone)]
struct Assignment {
    name: String,
    shape: Vec<usize>,
    is_parameter: bool,
    origin: ValueOrigin,
}

#[derive(Debug, Clone)]
enum ValueOrigin {
    /// A variable of the source, and its layout there.
    Variable(String, Layout),
    /// Missing there, with leave.
    Initial(ParameterSpec),
    /// One integer.
    Integer(i64),
}

/// What the variables of a file turned out to be.
struct Plan {
    source: Source,
    config: SimClrConfig,
    tensors: Vec<Assignment>,
    unused: Vec<(String, String)>,
    assumptions: Vec<String>,
}

/// Recognises the network in a file and finds a variable for each of its parameters.
///
/// `path` may be a TensorFlow checkpoint (name-based, object-based or a SavedModel; see
/// [`locate`](crate::tensorflow::locate) for how it may be named), or a ResNet with
/// torchvision's or timm's names in a `.safetensors` or `.pth` file. The architecture is told
/// from the variables, never from the path.
///
/// ```no_run
/// use simclr_checkpoint::{import, Heads};
///
/// # fn main() -> simclr_checkpoint::Result<()> {
/// let imported = import("r50_1x_sk0/", Heads::All)?;
/// println!("{}", imported.report());
/// imported.save("r50_1x_sk0.safetensors")?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::DoesNotFit`] says how the variables differ from the closest network;
/// other errors name the file and what is wrong with it.
pub fn import(path: impl AsRef<Path>, options: impl Into<ImportOptions>) -> Result<Imported> {
    let options = options.into();
    let source = SourceFile::open(path.as_ref())?;
    let variables = source.variables();
    let plan = match &source {
        SourceFile::TensorFlow(bundle) => tensorflow::plan(bundle, &source, &options)?,
        SourceFile::Safetensors(file) => {
            pytorch::plan(&source, "PyTorch, safetensors", file.metadata(), &options)?
        }
        SourceFile::Pickle(_) => {
            pytorch::plan(&source, "PyTorch, pickled", &Default::default(), &options)?
        }
    };
    let report = report(&source, &variables, &plan)?;
    Ok(Imported {
        config: plan.config,
        tensors: plan.tensors,
        report,
        source,
    })
}

impl Imported {
    /// The network.
    pub fn config(&self) -> &SimClrConfig {
        &self.config
    }

    /// What became of every variable.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Writes the network in our format. No more than one tensor is in memory at a time, and
    /// those that need no conversion not even as a whole. The file is complete or not there, but
    /// [not waited for](simclr_files::Durability::Buffered) until it is on the disk: it can be made again.
    ///
    /// # Errors
    /// [`Error::Checksum`] if a variable's bytes have changed; then no file is written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let plans: Vec<_> = self.tensors.iter().map(Assignment::plan).collect();
        write_safetensors(
            path,
            Durability::Buffered,
            &self.metadata()?.to_entries(),
            &plans,
            |index, out| match self.tensors.get(index) {
                Some(tensor) => self.write(path, tensor, out),
                None => Ok(()),
            },
        )
    }

    /// Reads everything into memory: what [`Self::save`] would write.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub fn load(&self, device: &Device) -> Result<CheckpointFile> {
        let tensor = |assignment: &Assignment| {
            Ok((assignment.name.clone(), self.tensor(assignment, device)?))
        };
        Ok(CheckpointFile {
            tensors: self.tensors.iter().map(tensor).collect::<Result<_>>()?,
            metadata: self.metadata()?,
        })
    }

    /// Reads the network's parameters, without the optimizer's state.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub fn parameters(&self, device: &Device) -> Result<Parameters> {
        let path = self.source.path();
        let parameters = self.tensors.iter().filter(|tensor| tensor.is_parameter);
        let variable = |assignment: &Assignment| {
            let tensor = self.tensor(assignment, device)?;
            let variable = Var::from_tensor(&tensor).map_err(Error::tensor(path))?;
            Ok((assignment.name.clone(), variable))
        };
        let variables = parameters.map(variable).collect::<Result<Vec<_>>>()?;
        Parameters::from_variables(variables).map_err(Error::model(path))
    }

    /// Builds the network.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub fn model(&self, device: &Device) -> Result<SimClr> {
        let parameters = self.parameters(device)?;
        SimClr::new(&self.config, parameters.var_builder())
            .map_err(Error::model(self.source.path()))
    }

    /// What the file will say about itself.
    fn metadata(&self) -> Result<Metadata> {
        let architecture = serde_json::to_value(&self.config)
            .map_err(|error| Error::malformed(self.source.path(), error.to_string()))?;
        Ok(Metadata {
            architecture: Some(architecture),
            source: Some(self.report.source.clone()),
            preprocessing: Some(Preprocessing {
                normalized_by_model: self.config.encoder.input_normalization.is_some(),
                ..Preprocessing::default()
            }),
            ..Metadata::default()
        })
    }

    fn write(&self, path: &Path, tensor: &Assignment, out: &mut dyn Write) -> Result<()> {
        let mut put = |bytes: &[u8]| out.write_all(bytes).map_err(Error::io(path));
        match &tensor.origin {
            ValueOrigin::Variable(name, Layout::Same) => self.source.for_each_f32_chunk(name, put),
            ValueOrigin::Integer(value) => put(&value.to_le_bytes()),
            _ => for_each_chunk_of(&self.values(tensor)?, put),
        }
    }

    fn tensor(&self, tensor: &Assignment, device: &Device) -> Result<Tensor> {
        let path = self.source.path();
        let made = match tensor.origin {
            ValueOrigin::Integer(value) => Tensor::new(value, device),
            _ => Tensor::from_vec(self.values(tensor)?, tensor.shape.as_slice(), device),
        };
        made.map_err(Error::tensor(path))
    }

    /// The values of a tensor of floating-point numbers, in our layout.
    fn values(&self, tensor: &Assignment) -> Result<Vec<f32>> {
        match &tensor.origin {
            ValueOrigin::Variable(name, layout) => {
                let values = self.source.read_f32(name)?;
                let shape = layout.export_shape(&tensor.shape);
                Ok(layout.import_values(values, &shape))
            }
            ValueOrigin::Initial(spec) => self.initial_values(spec),
            ValueOrigin::Integer(_) => Ok(Vec::new()),
        }
    }

    fn initial_values(&self, spec: &ParameterSpec) -> Result<Vec<f32>> {
        let path = self.source.path();
        let specs = std::slice::from_ref(spec);
        let drawn =
            Parameters::initialize(specs, SEED, &Device::Cpu).map_err(Error::model(path))?;
        let values = drawn.get(&spec.name).map(|variable| {
            let flat = variable.flatten_all()?;
            flat.to_vec1()
        });
        values
            .transpose()
            .map_err(Error::tensor(path))
            .map(Option::unwrap_or_default)
    }
}

impl Assignment {
    fn plan(&self) -> TensorPlan {
        TensorPlan {
            name: self.name.clone(),
            element: match self.origin {
                ValueOrigin::Integer(_) => ElementType::I64,
                _ => ElementType::F32,
            },
            shape: self.shape.clone(),
        }
    }
}

/// Gives each parameter its variable. Differences are errors unless they are allowed.
fn assign(
    path: &Path,
    config: &SimClrConfig,
    options: &ImportOptions,
    variables: &std::collections::BTreeMap<String, SourceVariable>,
    find: impl Fn(&ParameterSpec) -> Option<String>,
    layout: fn(Role) -> Layout,
) -> Result<Vec<Assignment>> {
    let specs = config.parameter_specs().map_err(Error::model(path))?;
    let mut differences = Differences::default();
    let mut tensors = Vec::new();
    for spec in specs {
        let layout = layout(spec.role);
        let name = find(&spec);
        let found = name.as_ref().and_then(|name| variables.get_key_value(name));
        let origin = match found {
            Some((name, variable)) => {
                check_float(path, name, variable)?;
                let shape = layout.import_shape(&variable.shape);
                if shape != spec.shape {
                    let shapes = (spec.name.clone(), spec.shape.clone(), shape);
                    differences.shapes.push(shapes);
                }
                ValueOrigin::Variable(name.clone(), layout)
            }
            None => {
                let allowed = |prefix: &String| spec.name.starts_with(prefix.as_str());
                if !options.allow_missing.iter().any(allowed) {
                    let wanted = name.unwrap_or_else(|| spec.original_name.clone());
                    differences
                        .missing
                        .push(format!("{} ({wanted})", spec.name));
                }
                ValueOrigin::Initial(spec.clone())
            }
        };
        tensors.push(Assignment {
            name: spec.name,
            shape: spec.shape,
            is_parameter: true,
            origin,
        });
    }
    match differences.count() {
        0 => Ok(tensors),
        _ => Err(Error::does_not_fit(path, config, &differences)),
    }
}

fn check_float(path: &Path, name: &str, variable: &SourceVariable) -> Result<()> {
    if variable.element.is_some_and(ElementType::is_float) {
        return Ok(());
    }
    Err(Error::Unsupported {
        path: path.to_owned(),
        what: format!("parameter `{name}`"),
        reason: format!("it is of {}, expected floating-point", variable.data_type),
    })
}

impl Error {
    fn does_not_fit(path: &Path, config: &SimClrConfig, differences: &Differences) -> Self {
        Self::DoesNotFit {
            path: path.to_owned(),
            network: describe(config),
            differences: differences.to_string(),
        }
    }
}

/// Puts the plan into words, with the checksums of everything used.
fn report(
    source: &SourceFile,
    variables: &std::collections::BTreeMap<String, SourceVariable>,
    plan: &Plan,
) -> Result<Report> {
    let mut report = Report {
        source: plan.source.clone(),
        network: describe(&plan.config),
        architecture: plan.config.clone(),
        value_count: 0,
        parameters: Vec::new(),
        optimizer_state: Vec::new(),
        initialized: Vec::new(),
        unused: Vec::new(),
        assumptions: plan.assumptions.clone(),
    };
    let mut used = std::collections::BTreeSet::new();
    for tensor in &plan.tensors {
        if tensor.is_parameter {
            let count: usize = tensor.shape.iter().product();
            report.value_count += count as u64;
        }
        let variable = match &tensor.origin {
            ValueOrigin::Variable(name, _) => variables.get_key_value(name),
            ValueOrigin::Initial(_) => {
                report.initialized.push(tensor.name.clone());
                None
            }
            ValueOrigin::Integer(_) => None,
        };
        let Some((name, variable)) = variable else {
            continue;
        };
        used.insert(name.as_str());
        let checksums = source.checksums(name)?;
        let origin = Origin {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            source: name.clone(),
            source_shape: variable.shape.clone(),
            source_type: variable.data_type.clone(),
            crc32c: checksums.iter().map(|crc| format!("{crc:08x}")).collect(),
        };
        match tensor.is_parameter {
            true => report.parameters.push(origin),
            false => report.optimizer_state.push(origin),
        }
    }
    let reasons: std::collections::BTreeMap<_, _> = plan.unused.iter().cloned().collect();
    for (name, variable) in variables {
        if used.contains(name.as_str()) {
            continue;
        }
        let unknown = || "no part of a SimCLR network".to_owned();
        report.unused.push(Unused {
            source: name.clone(),
            shape: variable.shape.clone(),
            data_type: variable.data_type.clone(),
            reason: reasons.get(name).cloned().unwrap_or_else(unknown),
        });
    }
    Ok(report)
}

/// The last part of a path, without what lies above it.
fn display_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
