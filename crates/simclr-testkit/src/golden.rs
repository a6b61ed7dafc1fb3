//! Reads the cases recorded from the original TensorFlow code.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, WithDType};
use serde_json::Value;

use crate::{Error, Result};

/// One recorded case: its parameters, its tensors and how exactly they must be met.
#[derive(Debug, Clone)]
pub struct GoldenCase {
    /// The family, for example `resnet`.
    pub kind: String,
    /// The case's name within its kind.
    pub name: String,
    /// The folder it lives in.
    pub directory: PathBuf,
    /// The manifest's tolerance entry.
    pub tolerance: Value,
    /// The whole of `case.json`; null where the case has none.
    pub description: Value,
    tensors: HashMap<String, Tensor>,
    device: Device,
}

/// All cases that `root/manifest.json` lists, with their tensors read.
pub fn golden_cases(root: impl AsRef<Path>) -> Result<Vec<GoldenCase>> {
    let root = root.as_ref();
    let path = root.join("manifest.json");
    let manifest = read_json(&path)?;
    let entries = manifest["cases"].as_array();
    let entries = entries.ok_or_else(|| malformed(&path, "expected a list `cases`"))?;
    entries
        .iter()
        .map(|entry| GoldenCase::read(root, &path, entry))
        .collect()
}

impl GoldenCase {
    fn read(root: &Path, manifest: &Path, entry: &Value) -> Result<Self> {
        let text = |key: &str| {
            let missing = || malformed(manifest, format!("expected a text `{key}` in {entry}"));
            entry[key].as_str().map(str::to_owned).ok_or_else(missing)
        };
        let directory = root.join(text("path")?);
        let tensors_file = directory.join("tensors.safetensors");
        let case_file = directory.join("case.json");
        Ok(Self {
            kind: text("kind")?,
            name: text("name")?,
            tolerance: entry["tolerance"].clone(),
            description: if case_file.exists() {
                read_json(&case_file)?
            } else {
                Value::Null
            },
            tensors: if tensors_file.exists() {
                candle_core::safetensors::load(&tensors_file, &Device::Cpu)?
            } else {
                HashMap::new()
            },
            directory,
            device: Device::Cpu,
        })
    }

    /// The case with its tensors on a device, and so what is computed from them.
    pub fn to_device(mut self, device: &Device) -> Result<Self> {
        for tensor in self.tensors.values_mut() {
            *tensor = tensor.to_device(device)?;
        }
        self.device = device.clone();
        Ok(self)
    }

    /// Where the tensors are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The case's parameters.
    pub fn params(&self) -> &Value {
        &self.description["params"]
    }

    /// Whether the tensor was recorded.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The recorded names, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.tensors.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// A recorded tensor, as it is.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.tensors
            .get(name)
            .ok_or_else(|| self.error(format!("expected a tensor `{name}`")))
    }

    /// The values of a recorded tensor, flat, as numbers of any type.
    pub fn values<T: WithDType>(&self, name: &str) -> Result<Vec<T>> {
        let flat = self.tensor(name)?.flatten_all()?;
        Ok(flat.to_dtype(T::DTYPE)?.to_vec1()?)
    }

    /// A number among the parameters.
    pub fn number(&self, key: &str) -> Result<f64> {
        self.parameter(key, "a number", Value::as_f64)
    }

    /// A count among the parameters.
    pub fn count(&self, key: &str) -> Result<usize> {
        let count = self.parameter(key, "a count", Value::as_u64)?;
        Ok(count as usize)
    }

    /// A whole number among the parameters.
    pub fn integer(&self, key: &str) -> Result<i64> {
        self.parameter(key, "a whole number", Value::as_i64)
    }

    /// A switch among the parameters.
    pub fn flag(&self, key: &str) -> Result<bool> {
        self.parameter(key, "a switch", Value::as_bool)
    }

    /// A text among the parameters.
    pub fn text(&self, key: &str) -> Result<&str> {
        self.parameter(key, "a text", Value::as_str)
    }

    /// A list among the parameters.
    pub fn list(&self, key: &str) -> Result<&[Value]> {
        self.parameter(key, "a list", |value| value.as_array().map(Vec::as_slice))
    }

    fn parameter<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T> {
        read(&self.params()[key])
            .ok_or_else(|| self.error(format!("expected {expected} `params.{key}`")))
    }

    /// A number among the recorded results.
    pub fn result(&self, key: &str) -> Result<f64> {
        self.description["result"][key]
            .as_f64()
            .ok_or_else(|| self.error(format!("expected a number `result.{key}`")))
    }

    /// A number of the tolerance entry.
    pub fn bound(&self, key: &str) -> Result<f64> {
        self.tolerance[key]
            .as_f64()
            .ok_or_else(|| self.error(format!("expected a number `tolerance.{key}`")))
    }

    /// An error about this case.
    pub fn error(&self, reason: impl Into<String>) -> Error {
        malformed(&self.directory, reason)
    }
}

fn malformed(path: &Path, reason: impl Into<String>) -> Error {
    Error::Golden {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

fn read_json(path: &Path) -> Result<Value> {
    let bytes = std::fs::read(path).map_err(|error| malformed(path, error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| malformed(path, error.to_string()))
}
