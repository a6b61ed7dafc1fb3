//! What the tensors of a PyTorch ResNet are.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use simclr_model::{
    InputNormalization, ParameterSpec, ProjectionHeadConfig, ResNetConfig, SimClrConfig,
    StemPooling, StridePlacement,
};

use super::assignment::{Recognized, assign};
use super::options::ImportOptions;
use super::source::SourceFile;
use super::source_variable::SourceVariable;
use crate::architecture::{Shapes, recognize_encoder, supervised_head};
use crate::format::metadata::{Source, display_name};
use crate::torch::{CLASSIFIER, Layout, STEM, name_of};
use crate::{Error, Result};

/// A counter that PyTorch keeps for each batch norm and that momentum makes superfluous.
const BATCH_COUNTER: &str = "num_batches_tracked";

pub(super) fn recognize_source(source: &SourceFile, options: &ImportOptions) -> Result<Recognized> {
    let none = HashMap::new();
    let (kind, metadata) = match source {
        SourceFile::Safetensors(file) => ("PyTorch, safetensors", file.metadata()),
        _ => ("PyTorch, pickled", &none),
    };
    let path = source.path();
    if metadata.contains_key("format_version") {
        let reason = "a simclr checkpoint: there is nothing to import, load it";
        return Err(Error::malformed(path, reason));
    }
    if options.moving_average || options.optimizer_state {
        let reason = "moving averages and optimizer state are read from TensorFlow only";
        return Err(Error::malformed(path, reason));
    }
    let variables = source.variables();
    let prefix = prefix(path, &variables)?;
    let mut assumptions = Vec::new();
    let base = flags(path, metadata, options, &mut assumptions)?;
    let named: BTreeMap<&str, &SourceVariable> = variables
        .iter()
        .filter_map(|(name, variable)| Some((name.strip_prefix(&prefix)?, variable)))
        .filter(|(name, _)| !name.ends_with(BATCH_COUNTER))
        .collect();
    let config = recognize(path, &named, &base, options)?;
    let find = |spec: &ParameterSpec| name_of(spec).map(|name| format!("{prefix}{name}"));
    let tensors = assign(path, &config, options, &variables, find, Layout::of)?;
    Ok(Recognized {
        source: Source::new(kind).with_name(display_name(path)),
        unused: unused(&variables, &prefix),
        assumptions,
        config,
        tensors,
    })
}

/// What stands before all of the network's names, such as `module.` or `backbone.`.
fn prefix(path: &Path, variables: &BTreeMap<String, SourceVariable>) -> Result<String> {
    let is_stem = |(name, variable): &(&String, &SourceVariable)| {
        let whole = name.len() == STEM.len() || name.ends_with(&format!(".{STEM}"));
        whole && name.ends_with(STEM) && matches!(variable.shape[..], [_, 3, _, _])
    };
    let mut prefixes = variables
        .iter()
        .filter(is_stem)
        .filter_map(|(name, _)| name.strip_suffix(STEM));
    let reason = match (prefixes.next(), prefixes.next()) {
        (Some(prefix), None) => return Ok(prefix.to_owned()),
        (Some(first), Some(second)) => {
            format!("two networks, `{first}{STEM}` and `{second}{STEM}`")
        }
        (None, _) => format!("no ResNet with torchvision's names: no tensor `{STEM}`"),
    };
    Err(Error::malformed(path, reason))
}

fn recognize(
    path: &Path,
    named: &BTreeMap<&str, &SourceVariable>,
    base: &ResNetConfig,
    options: &ImportOptions,
) -> Result<SimClrConfig> {
    let shape = |variable: &SourceVariable| {
        Layout::of_rank(variable.shape.len()).import_shape(&variable.shape)
    };
    let encoder: Shapes = named
        .iter()
        .filter(|(name, _)| !name.starts_with("fc."))
        .map(|(name, variable)| ((*name).to_owned(), shape(variable)))
        .collect();
    let found = recognize_encoder(&encoder, name_of, STEM, base);
    let (encoder, mut differences) = found.ok_or_else(|| {
        let reason = format!("no ResNet: `{STEM}` is not a 7 x 7 or 3 x 3 convolution");
        Error::malformed(path, reason)
    })?;
    let classifier = named.get(CLASSIFIER).filter(|_| options.heads.supervised());
    let supervised_head = classifier.and_then(|variable| supervised_head(&shape(variable)));
    let config = SimClrConfig::new(encoder)
        .with_projection_head(ProjectionHeadConfig::none())
        .with_supervised_head(supervised_head);
    // What is missing may be allowed to be; what is left over means another network.
    differences.missing.clear();
    differences.into_result(path, &config)?;
    Ok(config)
}

/// What no tensor tells: the options decide, then the file's metadata, then torchvision's ways.
fn flags(
    path: &Path,
    metadata: &HashMap<String, String>,
    options: &ImportOptions,
    assumptions: &mut Vec<String>,
) -> Result<ResNetConfig> {
    let stride = match options.stride_placement {
        None => stride_placement(path, metadata)?,
        placement => placement,
    };
    let pooling = match options.stem_pooling {
        None => stem_pooling(path, metadata)?,
        pooling => pooling,
    };
    let normalization = match options.input_normalization {
        None => input_normalization(path, metadata)?,
        normalization => normalization,
    };
    for (missing, what) in [
        (stride.is_none(), "stride in the middle of a block"),
        (pooling.is_none(), "symmetric padding of the first pooling"),
        (
            normalization.is_none(),
            "input normalised by ImageNet's statistics",
        ),
    ] {
        if missing {
            assumptions.push(format!("{what}, as in torchvision; the file does not say"));
        }
    }
    let normalization = normalization.unwrap_or(Some(InputNormalization::IMAGENET));
    Ok(ResNetConfig::default()
        .with_stride_placement(stride.unwrap_or(StridePlacement::Middle))
        .with_stem_pooling(pooling.unwrap_or(StemPooling::Symmetric))
        .with_input_normalization(normalization))
}

fn stride_placement(
    path: &Path,
    metadata: &HashMap<String, String>,
) -> Result<Option<StridePlacement>> {
    let Some(variant) = metadata.get("variant") else {
        return Ok(None);
    };
    match variant.split_whitespace().next() {
        Some("v1") => Ok(Some(StridePlacement::First)),
        Some("v1.5") => Ok(Some(StridePlacement::Middle)),
        _ => Err(unknown(path, "variant", variant, "`v1` or `v1.5`")),
    }
}

fn stem_pooling(path: &Path, metadata: &HashMap<String, String>) -> Result<Option<StemPooling>> {
    let Some(pooling) = metadata.get("stem_pool") else {
        return Ok(None);
    };
    let says = |word| pooling.to_lowercase().contains(word);
    if says("every side") || says("symmetric") {
        Ok(Some(StemPooling::Symmetric))
    } else if says("same") {
        Ok(Some(StemPooling::Same))
    } else {
        Err(unknown(path, "stem_pool", pooling, "`symmetric` or `same`"))
    }
}

fn input_normalization(
    path: &Path,
    metadata: &HashMap<String, String>,
) -> Result<Option<Option<InputNormalization>>> {
    let parse = |key: &str| {
        let numbers = |text: &String| {
            serde_json::from_str::<[f64; 3]>(text)
                .map_err(|_| unknown(path, key, text, "three numbers, `[r, g, b]`"))
        };
        metadata.get(key).map(numbers).transpose()
    };
    match (parse("mean")?, parse("std")?) {
        // Written by our own export for a network that takes images as they are.
        (Some(mean), Some(std)) if mean == [0.0; 3] && std == [1.0; 3] => Ok(Some(None)),
        (Some(mean), Some(std)) => Ok(Some(Some(InputNormalization { mean, std }))),
        (None, None) => Ok(None),
        _ => {
            let reason = "metadata has only one of `mean` and `std`";
            Err(Error::malformed(path, reason))
        }
    }
}

fn unknown(path: &Path, key: &str, value: &str, expected: &str) -> Error {
    let reason = format!("metadata `{key}`: `{value}`, expected {expected}");
    Error::malformed(path, reason)
}

fn unused(variables: &BTreeMap<String, SourceVariable>, prefix: &str) -> Vec<(String, String)> {
    let reason = |name: &String| {
        if name.ends_with(BATCH_COUNTER) {
            return "counter of batches, not needed".to_owned();
        }
        match name.strip_prefix(prefix) {
            Some(rest) if rest.starts_with("fc.") => "the head was not asked for".to_owned(),
            Some(_) => "no such parameter in this network".to_owned(),
            None => format!("outside the network under `{prefix}`"),
        }
    };
    let names = variables.keys();
    names.map(|name| (name.clone(), reason(name))).collect()
}
