//! What the tensors of a PyTorch ResNet are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use simclr_model::{
    FineTuneFrom, InputNormalization, ParameterSpec, ProjectionHeadConfig, ResNetConfig,
    SimClrConfig, StemPooling, StridePlacement,
};

use super::assignment::{Recognized, assign};
use super::modules;
use super::networks::{self, Network};
use super::options::ImportOptions;
use super::source::SourceFile;
use super::source_variable::SourceVariable;
use crate::architecture::{Shapes, check_stem, recognize_encoder, supervised_head};
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
    for (asked, what) in [
        (options.moving_average, "moving averages"),
        (options.optimizer_state, "the optimizer's tensors"),
        (options.sk_ratio != 0.0, "selective kernels"),
        (
            options.fine_tune_from != FineTuneFrom::Encoder,
            "projection heads",
        ),
    ] {
        if asked {
            let reason = format!("{what} were asked for, which are read from TensorFlow only");
            return Err(Error::malformed(path, reason));
        }
    }
    let variables = source.variables();
    let mut assumptions = Vec::new();
    let network = networks::find(source, &variables, options, &mut assumptions)?;
    let stem = network.tensors.get(STEM);
    let has_pooling = stem.is_none_or(|(_, kernel)| !kernel.shape.ends_with(&[3, 3]));
    let base = flags(path, metadata, options, has_pooling, &mut assumptions)?;
    let config = recognize(path, &network, &base, options)?;
    modules::check(source, &network, &config.encoder)?;
    let find = |spec: &ParameterSpec| {
        let name = name_of(spec)?;
        let known = network.tensors.get(&name);
        Some(known.map_or_else(
            || format!("{}{name}", network.prefix),
            |(name, _)| (*name).to_owned(),
        ))
    };
    let tensors = assign(path, &config, options, &variables, find, Layout::of)?;
    Ok(Recognized {
        source: Source::new(kind).with_name(display_name(path)),
        unused: unused(&variables, &network),
        assumptions,
        config,
        tensors,
    })
}

/// Words in the names of what stands on an encoder or beside it: heads, predictors, queues, state
/// of optimizers.
const HEADS: [&str; 13] = [
    "fc",
    "head",
    "proj",
    "classifier",
    "predictor",
    "prototypes",
    "mlp",
    "contrast",
    "queue",
    "last_layer",
    "logit",
    "temperature",
    "optim",
];

/// The tensors, by torchvision's names, that are no part of the encoder: those with such a word, and
/// dense layers of any name that take as many values as the last blocks give. No ResNet has a dense
/// layer before its last pooling.
fn heads<'a>(network: &'a Network<'_>) -> BTreeSet<&'a str> {
    let blocks = network
        .tensors
        .iter()
        .filter(|(name, _)| name.starts_with("layer4."));
    let channels = blocks.filter_map(|(_, (_, variable))| match variable.shape[..] {
        [channels, _, _, _] => Some(channels),
        _ => None,
    });
    let features = channels.max();
    let is_dense = |layer: &str| {
        let kernel = network.tensors.get(&format!("{layer}.weight"));
        kernel.is_some_and(|(_, v)| matches!(v.shape[..], [_, input] if features == Some(input)))
    };
    let is_head = |name: &&str| {
        let (first, rest) = name.split_once('.').unwrap_or((name, ""));
        let named = HEADS.iter().any(|word| first.contains(word));
        named || ["weight", "bias"].contains(&rest) && is_dense(first)
    };
    let names = network.tensors.keys().map(String::as_str);
    names.filter(is_head).collect()
}

fn recognize(
    path: &Path,
    network: &Network<'_>,
    base: &ResNetConfig,
    options: &ImportOptions,
) -> Result<SimClrConfig> {
    let shape = |variable: &SourceVariable| {
        Layout::of_rank(variable.shape.len()).import_shape(&variable.shape)
    };
    let heads = heads(network);
    let encoder: Shapes = network
        .tensors
        .iter()
        .filter(|(name, _)| !heads.contains(name.as_str()) && !name.ends_with(BATCH_COUNTER))
        .map(|(name, (_, variable))| (name.clone(), shape(variable)))
        .collect();
    check_stem(path, encoder.get(STEM).map(Vec::as_slice))?;
    let found = recognize_encoder(&encoder, name_of, STEM, base);
    let (encoder, mut differences) = found.ok_or_else(|| {
        let (name, shape) = match network.tensors.get(STEM) {
            Some((name, variable)) => (*name, &variable.shape[..]),
            None => (STEM, &[][..]),
        };
        let reason = format!(
            "no ResNet of a known form: `{name}` has the shape {shape:?}, expected \
             [64 n, 3, 7, 7] or [64 n, 3, 3, 3] with a width n up to 64"
        );
        Error::malformed(path, reason)
    })?;
    let classifier = network
        .tensors
        .get(CLASSIFIER)
        .filter(|_| options.heads.supervised());
    let supervised_head = classifier.and_then(|(_, variable)| supervised_head(&shape(variable)));
    let config = SimClrConfig::new(encoder)
        .with_projection_head(ProjectionHeadConfig::none())
        .with_supervised_head(supervised_head);
    // What is missing may be allowed to be; what is left over means another network.
    differences.missing.clear();
    if let Some(name) = differences.unexpected.first()
        && let Some((_, what)) = KINDS.iter().find(|(part, _)| name.contains(part))
    {
        return Err(Error::unsupported(path, *what, format!("it has `{name}`")));
    }
    if differences.count() > 0 {
        check_bottlenecks(path, network)?;
    }
    differences.into_result(path, &config)?;
    Ok(config)
}

/// Parts of names in kinds of ResNet that are not imported.
const KINDS: [(&str, &str); 5] = [
    (".se", "a ResNet with squeeze and excitation (SE-ResNet)"),
    (
        ".attn.",
        "a ResNet with attention or selective kernels (SKNet, ECA-ResNet)",
    ),
    (".conv1.bn.", "a ResNet with selective kernels (SKNet)"),
    (
        ".aa.",
        "a ResNet with a filter before each stride (anti-aliased)",
    ),
    (
        ".downsample.2.",
        "a ResNet with averages in its shortcuts (ResNet-D)",
    ),
];

/// Refuses by name the kinds of ResNet that differ in the first bottleneck.
fn check_bottlenecks(path: &Path, network: &Network<'_>) -> Result<()> {
    let shape = |name: &str| Some(&network.tensors.get(name)?.1.shape[..]);
    let convolutions = ["layer1.0.conv2.weight", "layer1.0.conv3.weight"].map(shape);
    let [Some(&[inner, input, ..]), Some(&[output, ..])] = convolutions else {
        return Ok(());
    };
    let what = if input != inner {
        "a ResNet with grouped convolutions (ResNeXt)"
    } else if output != inner.saturating_mul(4) {
        "a ResNet with wide bottlenecks (Wide ResNet)"
    } else {
        return Ok(());
    };
    let reason = format!(
        "its first block has {input} channels into {inner} and {output} out of it, expected as \
         many into as in the middle and four times as many out"
    );
    Err(Error::unsupported(path, what, reason))
}

/// What no tensor tells: the options decide, then the file's metadata, then torchvision's ways.
fn flags(
    path: &Path,
    metadata: &HashMap<String, String>,
    options: &ImportOptions,
    has_pooling: bool,
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
        Some(Some(given)) => {
            if let Some((setting, expected, found)) = wrong_statistics(&given) {
                return Err(Error::Setting {
                    setting,
                    expected,
                    found: format!("{found:?}"),
                });
            }
            Some(Some(given))
        }
        none => none,
    };
    for (missing, what) in [
        (
            stride.is_none(),
            "stride in the middle of a block, as in torchvision",
        ),
        (
            pooling.is_none() && has_pooling,
            "symmetric padding of the first pooling, as in torchvision",
        ),
        (
            pooling.is_none() && !has_pooling,
            "stride 1 in the first convolution and no pooling behind it, as in networks for CIFAR",
        ),
        (
            normalization.is_none(),
            "input normalised by ImageNet's statistics, as in torchvision",
        ),
    ] {
        if missing {
            assumptions.push(format!("{what}; the file does not say"));
        }
    }
    let normalization = normalization.unwrap_or(Some(InputNormalization::IMAGENET));
    let epsilon = batch_norm_epsilon(path, metadata)?;
    let default = ResNetConfig::default();
    let epsilon = epsilon.unwrap_or(default.batch_norm_epsilon);
    Ok(default
        .with_batch_norm_epsilon(epsilon)
        .with_stride_placement(stride.unwrap_or(StridePlacement::Middle))
        .with_stem_pooling(pooling.unwrap_or(StemPooling::Symmetric))
        .with_input_normalization(normalization))
}

fn batch_norm_epsilon(path: &Path, metadata: &HashMap<String, String>) -> Result<Option<f64>> {
    let parse = |text: &String| {
        let number = text.split_whitespace().next().map(str::parse);
        match number {
            Some(Ok(epsilon)) if epsilon > 0.0 && f64::is_finite(epsilon) => Ok(epsilon),
            _ => Err(unknown(path, "bn_eps", text, "a finite number above 0")),
        }
    };
    metadata.get("bn_eps").map(parse).transpose()
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
        (Some(mean), Some(std)) => {
            let given = InputNormalization { mean, std };
            match wrong_statistics(&given) {
                Some((key, expected, found)) => {
                    Err(unknown(path, key, &format!("{found:?}"), &expected))
                }
                None => Ok(Some(Some(given))),
            }
        }
        (None, None) => Ok(None),
        _ => {
            let reason = "metadata has only one of `mean` and `std`";
            Err(Error::malformed(path, reason))
        }
    }
}

/// Which of the statistics no images in [0, 1] have, what was expected, and what it is. Those of
/// the scale from 0 to 255 would turn every image into nearly the same one.
fn wrong_statistics(
    InputNormalization { mean, std }: &InputNormalization,
) -> Option<(&'static str, String, [f64; 3])> {
    let expected = |range: &str| format!("three numbers {range}, for images in [0, 1]");
    if !mean.iter().all(|value| (0.0..=1.0).contains(value)) {
        Some(("mean", expected("from 0 to 1"), *mean))
    } else if !std.iter().all(|value| *value > 0.0 && *value <= 1.0) {
        Some(("std", expected("above 0 and at most 1"), *std))
    } else {
        None
    }
}

fn unknown(path: &Path, key: &str, value: &str, expected: &str) -> Error {
    let reason = format!("metadata `{key}`: `{value}`, expected {expected}");
    Error::malformed(path, reason)
}

fn unused(
    variables: &BTreeMap<String, SourceVariable>,
    network: &Network<'_>,
) -> Vec<(String, String)> {
    let heads = heads(network);
    let under: BTreeMap<&str, &str> = network
        .tensors
        .iter()
        .map(|(ours, (name, _))| (*name, ours.as_str()))
        .collect();
    let reason = |name: &str| {
        if name.ends_with(BATCH_COUNTER) {
            return "counter of batches, not needed".to_owned();
        }
        match under.get(name) {
            Some(ours) if ours.starts_with("fc.") => {
                "a head that was not asked for or is not linear".to_owned()
            }
            Some(ours) if heads.contains(ours) => "no part of the encoder".to_owned(),
            Some(_) => "no such parameter in this network".to_owned(),
            None => format!("outside the network under `{}`", network.prefix),
        }
    };
    let names = variables.keys();
    names.map(|name| (name.clone(), reason(name))).collect()
}
