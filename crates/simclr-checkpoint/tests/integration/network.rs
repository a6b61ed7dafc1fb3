//! Small networks for tests, and their checkpoints in the form of TensorFlow 1.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;

use candle_core::Tensor;
use simclr_model::{ResNetConfig, SimClrConfig, Stem};
use simclr_testkit::formula_values;
use tempfile::TempDir;

use crate::support::{Layout, Written, float_variable, write_bundle};

/// The smallest network that there is.
pub(crate) fn small() -> SimClrConfig {
    SimClrConfig::new(ResNetConfig::depth(18).with_stem(Stem::Cifar)).with_classes(3)
}

/// The variables of a name-based checkpoint, cheap to make: a short run of values, repeated.
pub(crate) fn variables(config: &SimClrConfig) -> BTreeMap<String, Written> {
    let specs = config.parameter_specs().unwrap();
    specs
        .into_iter()
        .map(|spec| {
            let values = values_of(&spec.original_name, spec.element_count());
            let name = spec.original_name;
            (name.clone(), float_variable(&name, &spec.shape, &values))
        })
        .collect()
}

pub(crate) fn values_of(name: &str, count: usize) -> Vec<f32> {
    let (low, high) = if name.contains("kernel") {
        (-0.05, 0.05)
    } else {
        (0.5, 1.5)
    };
    let few = formula_values(name, 97, low, high);
    few.into_iter().cycle().take(count).collect()
}

/// Writes the variables and gives the folder.
pub(crate) fn checkpoint(variables: &BTreeMap<String, Written>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let list: Vec<Written> = variables.values().cloned().collect();
    write_bundle(
        &folder.path().join("model.ckpt-12"),
        &list,
        Layout::default(),
    );
    folder
}

pub(crate) fn rename(variable: &Written, name: &str) -> Written {
    let mut renamed = variable.clone();
    name.clone_into(&mut renamed.name);
    renamed
}

pub(crate) fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}
