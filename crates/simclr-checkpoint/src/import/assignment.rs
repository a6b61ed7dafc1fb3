//! Which variable of a file each of our tensors takes its values from.

use std::collections::BTreeMap;
use std::path::Path;

use simclr_model::{ParameterSpec, Role, SimClrConfig};

use super::options::ImportOptions;
use super::source_variable::SourceVariable;
use crate::architecture::Differences;
use crate::element::ElementType;
use crate::error::{Error, InFile, Result};
use crate::format::metadata::Source;
use crate::torch::Layout;

/// What the variables of a file turned out to be.
pub(super) struct Recognized {
    pub(super) source: Source,
    pub(super) config: SimClrConfig,
    pub(super) tensors: Vec<Assignment>,
    /// Variables of the file and why they are not used, if they are not.
    pub(super) unused: Vec<(String, String)>,
    pub(super) assumptions: Vec<String>,
}

/// One tensor of ours, and where its values are.
#[derive(Debug, Clone)]
pub(super) struct Assignment {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) is_parameter: bool,
    pub(super) origin: ValueOrigin,
}

#[derive(Debug, Clone)]
pub(super) enum ValueOrigin {
    /// A variable of the source, and its layout there.
    Variable(String, Layout),
    /// Missing there, with leave.
    Initial(ParameterSpec),
    /// One integer.
    #[cfg_attr(not(feature = "tensorflow"), expect(dead_code))]
    Integer(i64),
}

/// Gives each parameter its variable. Differences are errors unless they are allowed.
pub(super) fn assign(
    path: &Path,
    config: &SimClrConfig,
    options: &ImportOptions,
    variables: &BTreeMap<String, SourceVariable>,
    find: impl Fn(&ParameterSpec) -> Option<String>,
    layout: fn(Role) -> Layout,
) -> Result<Vec<Assignment>> {
    let mut differences = Differences::default();
    let mut tensors = Vec::new();
    let specs = config.parameter_specs().in_file(path)?;
    for prefix in &options.allow_missing {
        if !specs.iter().any(|spec| spec.name.starts_with(prefix)) {
            return Err(Error::Setting {
                setting: "allow_missing",
                expected: "the beginning of a parameter's name, such as encoder.stem".to_owned(),
                found: prefix.clone(),
            });
        }
    }
    for spec in specs {
        let layout = layout(spec.role);
        let name = find(&spec);
        let variable = name.as_ref().and_then(|name| variables.get_key_value(name));
        let origin = if let Some((name, variable)) = variable {
            if !variable.element.is_some_and(ElementType::is_float) {
                let reason = format!("it is of {}, expected floating-point", variable.data_type);
                let what = format!("parameter `{name}`");
                return Err(Error::unsupported(path, what, reason));
            }
            let shape = layout.import_shape(&variable.shape);
            if shape != spec.shape {
                let shapes = (spec.name.clone(), spec.shape.clone(), shape);
                differences.shapes.push(shapes);
            }
            ValueOrigin::Variable(name.clone(), layout)
        } else {
            let allowed = |prefix: &String| spec.name.starts_with(prefix.as_str());
            if !options.allow_missing.iter().any(allowed) {
                let wanted = name.unwrap_or_else(|| spec.original_name.clone());
                let missing = format!("{} ({wanted})", spec.name);
                differences.missing.push(missing);
            }
            ValueOrigin::Initial(spec.clone())
        };
        tensors.push(Assignment {
            name: spec.name,
            shape: spec.shape,
            is_parameter: true,
            origin,
        });
    }
    differences.into_result(path, config)?;
    Ok(tensors)
}
