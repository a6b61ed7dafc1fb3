//! What an import did with every variable on both sides.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use simclr_model::SimClrConfig;

use super::assignment::{Recognized, ValueOrigin};
use super::source::SourceFile;
use crate::Result;
use crate::architecture::describe;
use crate::format::metadata::Source;

/// Accounts for each of our parameters and each variable of the source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Where the network came from.
    pub source: Source,
    /// The network in words.
    pub network: String,
    /// The network.
    pub architecture: SimClrConfig,
    /// Number of values of all parameters and moving statistics.
    pub value_count: u64,
    /// Each parameter and moving statistic, and where its values came from.
    pub parameters: Vec<Origin>,
    /// Each tensor of the optimizer's state, and where its values came from.
    pub optimizer_state: Vec<Origin>,
    /// Parameters without values in the source, which got initial values because the caller
    /// allowed it.
    pub initialized: Vec<String>,
    /// Variables of the source that were not used.
    pub unused: Vec<Unused>,
    /// What was assumed because the source does not say it.
    pub assumptions: Vec<String>,
}

/// Where the values of one tensor came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Our name.
    pub name: String,
    /// Our shape.
    pub shape: Vec<usize>,
    /// The variable's name in the source.
    pub source: String,
    /// The variable's shape in the source.
    pub source_shape: Vec<usize>,
    /// The variable's type in the source.
    pub source_type: String,
    /// CRC-32C of the variable's bytes, hexadecimal; one for each block if it was partitioned.
    /// Of a pickled tensor: of its values as `f32`. Empty without the feature `tensorflow`.
    pub crc32c: Vec<String>,
}

/// A variable that was not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unused {
    /// The variable's name in the source.
    pub source: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its type.
    pub data_type: String,
    /// Why.
    pub reason: String,
}

impl Report {
    /// Accounts for everything, with the checksums of what is used.
    pub(super) fn new(source: &SourceFile, recognized: &Recognized) -> Result<Self> {
        let variables = source.variables();
        let mut value_count = 0;
        let mut used = BTreeSet::new();
        let mut initialized = Vec::new();
        let mut origins = [Vec::new(), Vec::new()];
        for tensor in &recognized.tensors {
            if tensor.is_parameter {
                value_count += tensor.shape.iter().product::<usize>() as u64;
            }
            let key = match &tensor.origin {
                ValueOrigin::Variable(key, _) => key,
                ValueOrigin::Initial(_) => {
                    initialized.push(tensor.name.clone());
                    continue;
                }
                ValueOrigin::Integer(_) => continue,
            };
            let Some(variable) = variables.get(key) else {
                continue;
            };
            used.insert(key);
            let checksums = source.checksums(key)?;
            origins[usize::from(!tensor.is_parameter)].push(Origin {
                name: tensor.name.clone(),
                shape: tensor.shape.clone(),
                source: key.clone(),
                source_shape: variable.shape.clone(),
                source_type: variable.data_type.clone(),
                crc32c: checksums.iter().map(|crc| format!("{crc:08x}")).collect(),
            });
        }
        let reasons: BTreeMap<_, _> = recognized.unused.iter().map(|(a, b)| (a, b)).collect();
        let reason = |key| {
            reasons
                .get(key)
                .map_or("no part of a SimCLR network", |r| r)
        };
        let unused = variables.iter().filter(|(key, _)| !used.contains(key));
        let unused = unused.map(|(key, variable)| Unused {
            source: key.clone(),
            shape: variable.shape.clone(),
            data_type: variable.data_type.clone(),
            reason: reason(key).to_owned(),
        });
        let [parameters, optimizer_state] = origins;
        Ok(Self {
            source: recognized.source.clone(),
            network: describe(&recognized.config),
            architecture: recognized.config.clone(),
            value_count,
            parameters,
            optimizer_state,
            initialized,
            unused: unused.collect(),
            assumptions: recognized.assumptions.clone(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.source.name, self.source.kind)?;
        writeln!(f, "  network        {}", self.network)?;
        let (tensors, millions) = (self.parameters.len(), self.value_count as f64 / 1e6);
        writeln!(
            f,
            "  parameters     {tensors} tensors, {millions:.3} M values"
        )?;
        if let Some(step) = self.source.global_step {
            writeln!(f, "  global step    {step}")?;
        }
        if !self.optimizer_state.is_empty() {
            writeln!(f, "  optimizer      {} tensors", self.optimizer_state.len())?;
        }
        for name in &self.initialized {
            writeln!(f, "  initialized    {name}: not in the source")?;
        }
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for unused in &self.unused {
            let names = reasons.entry(&unused.reason).or_default();
            names.push(&unused.source);
        }
        for (reason, names) in reasons {
            let example = names.first().copied().unwrap_or_default();
            let count = names.len();
            writeln!(
                f,
                "  not used       {count}: {reason} (for example {example})"
            )?;
        }
        for assumption in &self.assumptions {
            writeln!(f, "  assumed        {assumption}")?;
        }
        Ok(())
    }
}
