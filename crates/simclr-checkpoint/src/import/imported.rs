//! A network found in a file.

use std::fmt;
use std::path::Path;

use candle_core::{Device, Tensor, Var};
use simclr_files::Durability;
use simclr_model::{ParameterSpec, Parameters, SimClr, SimClrConfig};

use super::assignment::{Assignment, Recognized, ValueOrigin};
use super::report::Report;
use super::source::SourceFile;
use crate::element::{ElementType, Values};
use crate::error::{InFile, Result};
use crate::format::container::CheckpointFile;
use crate::format::metadata::Metadata;
use crate::format::options::SaveOptions;
use crate::format::writer::{TensorHeader, TensorWriter, write_safetensors};
use crate::torch::Layout;
use crate::value_check::ValueCheck;

/// Seed of the initial values of parameters that the source lacks.
const SEED: u64 = 0;

/// A network found in a file: recognised and accounted for, its values not yet read.
#[non_exhaustive]
pub struct Imported {
    /// The network.
    pub config: SimClrConfig,
    /// What became of every variable.
    pub report: Report,
    source: SourceFile,
    tensors: Vec<Assignment>,
}

impl fmt::Debug for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imported")
            .field("config", &self.config)
            .field("report", &self.report)
            .field("path", &self.source.path())
            .finish_non_exhaustive()
    }
}

impl Imported {
    pub(super) fn new(source: SourceFile, recognized: Recognized) -> Result<Self> {
        Ok(Self {
            report: Report::new(&source, &recognized)?,
            config: recognized.config,
            tensors: recognized.tensors,
            source,
        })
    }

    /// Writes the network in our format. No more than one tensor is in memory at a time, and
    /// those that need no conversion not even as a whole. The file is complete or not there, but
    /// [not waited for](simclr_files::Durability::Buffered) until it is on the disk: it can be made again.
    ///
    /// # Errors
    /// [`Error::Checksum`](crate::Error::Checksum) if a variable's bytes have changed,
    /// [`Error::InvalidValues`](crate::Error::InvalidValues) if it has NaN, infinity or a negative
    /// variance; then no file is written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.save_with(path, &SaveOptions::default())
    }

    /// [`Self::save`] with options, for example in half precision.
    ///
    /// # Errors
    /// As [`Self::save`]; [`Error::Overflow`](crate::Error::Overflow) if a value is too large for the element type.
    pub fn save_with(&self, path: impl AsRef<Path>, options: &SaveOptions) -> Result<()> {
        let float = options.element()?;
        let header = |tensor: &Assignment| TensorHeader {
            name: tensor.name.clone(),
            element: match tensor.origin {
                ValueOrigin::Integer(_) => ElementType::I64,
                _ => float,
            },
            shape: tensor.shape.clone(),
        };
        let tensors = self.tensors.iter();
        let tensors = tensors.map(|tensor| (header(tensor), tensor)).collect();
        let entries = self.metadata()?.to_entries(options)?;
        let durability = Durability::Buffered;
        write_safetensors(
            path.as_ref(),
            durability,
            &entries,
            tensors,
            |tensor, out| self.write(tensor, out),
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
        let variable = |parameter: &Assignment| {
            let tensor = self.tensor(parameter, device)?;
            let variable = Var::from_tensor(&tensor).in_file(path)?;
            Ok((parameter.name.clone(), variable))
        };
        let variables = parameters.map(variable).collect::<Result<Vec<_>>>()?;
        Parameters::from_variables(variables).in_file(path)
    }

    /// Builds the network.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub fn model(&self, device: &Device) -> Result<SimClr> {
        let parameters = self.parameters(device)?;
        SimClr::new(&self.config, parameters.var_builder()).in_file(self.source.path())
    }

    /// What the file will say about itself.
    fn metadata(&self) -> Result<Metadata> {
        Metadata::of_network(self.source.path(), &self.config, self.report.source.clone())
    }

    fn write(&self, tensor: &Assignment, out: &mut TensorWriter<'_>) -> Result<()> {
        if let ValueOrigin::Integer(value) = tensor.origin {
            return out.write_values(&Values::I64(vec![value]));
        }
        if let ValueOrigin::Variable(name, Layout::Same) = &tensor.origin {
            let mut check = ValueCheck::new(&tensor.name);
            let write = |bytes: &[u8]| {
                check.update_bytes(bytes);
                out.write_f32(bytes)
            };
            if self.source.for_each_f32_chunk(name, write)? {
                return check.finish(self.source.path(), name);
            }
        }
        out.write_values(&Values::F32(self.values(tensor)?))
    }

    fn tensor(&self, tensor: &Assignment, device: &Device) -> Result<Tensor> {
        let path = self.source.path();
        let made = match tensor.origin {
            ValueOrigin::Integer(value) => Tensor::new(value, device),
            _ => Tensor::from_vec(self.values(tensor)?, tensor.shape.as_slice(), device),
        };
        made.in_file(path)
    }

    /// The values of a tensor of floating-point numbers, in our layout.
    fn values(&self, tensor: &Assignment) -> Result<Vec<f32>> {
        match &tensor.origin {
            ValueOrigin::Variable(name, layout) => {
                let values = self.source.read_f32(name)?;
                let mut check = ValueCheck::new(&tensor.name);
                check.update(values.iter().copied());
                check.finish(self.source.path(), name)?;
                let shape = layout.export_shape(&tensor.shape);
                let values = layout.import_values(values, &shape);
                values.in_file(self.source.path())
            }
            ValueOrigin::Initial(spec) => self.initial_values(spec),
            ValueOrigin::Integer(_) => Ok(Vec::new()),
        }
    }

    fn initial_values(&self, spec: &ParameterSpec) -> Result<Vec<f32>> {
        let path = self.source.path();
        let specs = std::slice::from_ref(spec);
        let drawn = Parameters::initialize(specs, SEED, &Device::Cpu).in_file(path)?;
        let values = drawn
            .iter()
            .map(|(_, variable)| variable.flatten_all()?.to_vec1());
        let values = values.collect::<candle_core::Result<Vec<_>>>();
        Ok(values.in_file(path)?.concat())
    }
}
