//! What the variables of a TensorFlow checkpoint are.

use std::collections::BTreeMap;
use std::path::Path;

use simclr_model::{
    ModelStage, ParameterSpec, ProjectionHeadConfig, ResNetConfig, SimClrConfig, Stem,
};

use super::assignment::{Assignment, Recognized, ValueOrigin, assign};
use super::options::ImportOptions;
use super::source::SourceFile;
use super::source_variable::SourceVariable;
use crate::architecture::{Shapes, check_stem, recognize_encoder, supervised_head};
use crate::element::Values;
use crate::error::{Error, InFile, Result};
use crate::format::metadata::{Source, display_name};
use crate::names::CanonicalNames;
use crate::tensorflow::Bundle;
use crate::torch::Layout;

const STEM: &str = "base_model/conv2d/kernel";
const CLASSIFIER: &str = "head_supervised/linear_layer/dense/kernel";
const CLASSIFIER_BIAS: &str = "head_supervised/linear_layer/dense/bias";

/// The counter of an optimizer's steps, as this workspace's optimizers name it.
const OPTIMIZER_STEP: &str = "optimizer.step";

/// Whether a variable counts the steps of training.
fn is_step(key: &str) -> bool {
    let name = key.strip_suffix("/.ATTRIBUTES/VARIABLE_VALUE");
    let name = name.unwrap_or(key);
    let of_optimizer = ["optimizer/iter", "optimizer/_iterations"].contains(&name);
    of_optimizer || name.rsplit('/').next() == Some("global_step")
}

pub(super) fn recognize_source(
    bundle: &Bundle,
    source: &SourceFile,
    options: &ImportOptions,
) -> Result<Recognized> {
    let names = CanonicalNames::of(bundle)?;
    let path = bundle.index();
    for (asked, what) in [
        (options.branch.is_some(), "a branch"),
        (options.stride_placement.is_some(), "a place of the stride"),
        (
            options.stem_pooling.is_some(),
            "a padding of the first pooling",
        ),
        (
            options.input_normalization.is_some(),
            "a normalisation of the input",
        ),
    ] {
        if asked {
            let reason = format!("{what} was asked for, which only files of PyTorch have");
            return Err(Error::malformed(path, reason));
        }
    }
    if let Some((canonical, first, second)) = names.conflicts.first() {
        let reason = format!("both `{first}` and `{second}` are {canonical}");
        return Err(Error::malformed(path, reason));
    }
    if options.moving_average && names.moving_averages.is_empty() {
        let reason = "the moving averages were asked for, but there are none";
        return Err(Error::malformed(path, reason));
    }
    let is_average = !names.weights.contains_key(STEM) && names.moving_averages.contains_key(STEM);
    if is_average && !options.moving_average {
        let reason = "it has only the moving averages of its parameters: ask for them (option ema)";
        return Err(Error::malformed(path, reason));
    }
    let variables = source.variables();
    let shapes = shapes(&names, &variables);
    let config = recognize(path, &shapes, options)?;
    // Programs that average while they train without labels do not all average the classifier
    // that is trained alongside.
    let plain_head = options.moving_average && !names.moving_averages.contains_key(CLASSIFIER);
    let find = |spec: &ParameterSpec| {
        let plain = names.weights.get(&spec.original_name);
        let average = names.moving_averages.get(&spec.original_name);
        // Statistics are averages already; some programs keep no second average of them.
        let plain_will_do =
            !spec.role.is_trainable() || plain_head && spec.stage == ModelStage::SupervisedHead;
        let name = match (options.moving_average, plain_will_do) {
            (false, _) => plain,
            (true, true) => average.or(plain),
            (true, false) => average,
        };
        name.cloned()
    };
    let mut tensors = assign(path, &config, options, &variables, find, |_| Layout::Same)?;
    let mut steps = variables.keys().filter(|key| is_step(key));
    let global_step = steps.find_map(|name| read_integer(bundle, name));
    if options.optimizer_state {
        tensors.extend(optimizer_state(path, &config, &names, global_step)?);
    }
    let mut assumptions = assumptions(&config);
    let mut assume = |holds: bool, what: &str| {
        if holds {
            assumptions.push(what.to_owned());
        }
    };
    assume(
        names.gaps,
        "the numbers of the layers have gaps: the layers were taken in their order",
    );
    assume(
        plain_head && config.supervised_head.is_some(),
        "the supervised head has no moving averages: its parameters were taken as they are",
    );
    assume(
        options.optimizer_state && global_step.is_none(),
        "the source does not count its steps: the optimizer's count begins at 0",
    );
    Ok(Recognized {
        source: Source::new(form(bundle))
            .with_name(name_of(bundle))
            .with_global_step(global_step)
            .with_moving_average(options.moving_average),
        unused: unused(&names, options),
        assumptions,
        config,
        tensors,
    })
}

fn form(bundle: &Bundle) -> &'static str {
    let folder = bundle.prefix().parent().and_then(Path::file_name);
    if !bundle.is_object_based() {
        "TensorFlow, name-based"
    } else if folder.is_some_and(|name| name == "variables") {
        "TensorFlow, SavedModel"
    } else {
        "TensorFlow, object-based"
    }
}

/// The folder and the prefix, or a SavedModel's folder.
fn name_of(bundle: &Bundle) -> String {
    let prefix = bundle.prefix();
    let folder = prefix.parent().unwrap_or(Path::new(""));
    if !folder.ends_with("variables") {
        return within(folder, &display_name(prefix));
    }
    let saved_model = folder.parent().unwrap_or(folder);
    match display_name(saved_model).as_str() {
        // The name of the official networks is one folder higher.
        name @ ("saved_model" | "hub") => {
            within(saved_model.parent().unwrap_or(Path::new("")), name)
        }
        name => name.to_owned(),
    }
}

fn within(folder: &Path, name: &str) -> String {
    match display_name(folder).as_str() {
        "" | "." | ".." => name.to_owned(),
        folder => format!("{folder}/{name}"),
    }
}

/// Shapes by canonical name, of numbers; an average stands in where it is all there is.
fn shapes(names: &CanonicalNames, variables: &BTreeMap<String, SourceVariable>) -> Shapes {
    let all = names.moving_averages.iter().chain(&names.weights);
    let shape = |(canonical, key): (&String, &String)| {
        let variable = variables.get(key).filter(|v| v.element.is_some())?;
        Some((canonical.clone(), variable.shape.clone()))
    };
    all.filter_map(shape).collect()
}

/// Recognises a network from the shapes of its variables, by their canonical names
/// (`base_model/conv2d/kernel` and so on). `path` is for error messages.
///
/// A CIFAR-stem ResNet-18 or -34 has the same variables with and without `sk_ratio`; the options
/// say what it has.
///
/// # Errors
/// [`Error::DoesNotFit`] if variables are left over or of another shape than those of the
/// closest network; missing ones are not looked for here.
pub fn recognize(
    path: &Path,
    shapes: &BTreeMap<String, Vec<usize>>,
    options: &ImportOptions,
) -> Result<SimClrConfig> {
    let mut encoder = shapes.clone();
    encoder.retain(|name, _| name.starts_with("base_model/"));
    check_stem(path, encoder.get(STEM).map(Vec::as_slice))?;
    let base = ResNetConfig::default();
    let naming = |spec: &ParameterSpec| Some(spec.original_name.clone());
    let closest = recognize_encoder(&encoder, naming, STEM, &base);
    let (mut encoder, mut differences) = closest.ok_or_else(|| {
        let reason = "no ResNet of SimCLR: it has no variable that could be the first \
                      convolution (`base_model/conv2d/kernel`, 7 x 7 or 3 x 3)";
        Error::malformed(path, reason)
    })?;
    if hides_sk_ratio(&encoder) {
        encoder.sk_ratio = options.sk_ratio;
    }
    let projection_head = if options.heads.projection() {
        recognize_projection_head(shapes)
    } else {
        ProjectionHeadConfig::none()
    };
    let classifier = shapes
        .get(CLASSIFIER)
        .or_else(|| shapes.get(CLASSIFIER_BIAS));
    let classifier = classifier.filter(|_| options.heads.supervised());
    let config = SimClrConfig::new(encoder)
        .with_projection_head(projection_head.with_fine_tune_from(options.fine_tune_from))
        .with_supervised_head(classifier.and_then(|kernel| supervised_head(kernel)));
    // What is missing may be allowed to be; what is left over means another network.
    differences.missing.clear();
    differences.into_result(path, &config)?;
    Ok(config)
}

/// The projection head, by canonical names; kind none if there is nothing of one. A layer counts
/// if any variable of it is there, so that the others are missing.
fn recognize_projection_head(variables: &Shapes) -> ProjectionHeadConfig {
    let layers = |prefix: &str| -> BTreeMap<usize, usize> {
        let layer = |(name, shape): (&String, &Vec<usize>)| {
            let name = name.strip_prefix("head_contrastive/")?;
            let (number, _) = name.strip_prefix(prefix)?.split_once('/')?;
            Some((number.parse().ok()?, *shape.last()?))
        };
        variables.iter().filter_map(layer).collect()
    };
    // The output's size is that of every variable of the last layer.
    match (layers("l_").pop_last(), layers("nl_").pop_last()) {
        (Some((_, output_size)), _) => ProjectionHeadConfig::linear().with_output_size(output_size),
        (None, Some((last, output_size))) => ProjectionHeadConfig::default()
            .with_layers(last.saturating_add(1))
            .with_output_size(output_size),
        (None, None) => ProjectionHeadConfig::none(),
    }
}

/// The optimizer's tensors, under the names that this workspace's optimizers expect.
fn optimizer_state(
    path: &Path,
    config: &SimClrConfig,
    names: &CanonicalNames,
    global_step: Option<i64>,
) -> Result<Vec<Assignment>> {
    let specs = config.parameter_specs().in_file(path)?;
    let ours: BTreeMap<&str, &ParameterSpec> = specs
        .iter()
        .map(|spec| (spec.original_name.as_str(), spec))
        .collect();
    let assignment = |name, shape, origin| Assignment {
        name,
        shape,
        is_parameter: false,
        origin,
    };
    let slot = |((canonical, slot), key): (&(String, String), &String)| {
        let spec = ours.get(canonical.as_str())?;
        let origin = ValueOrigin::Variable(key.clone(), Layout::Same);
        Some(assignment(
            format!("{}.{slot}", spec.name),
            spec.shape.clone(),
            origin,
        ))
    };
    let mut state: Vec<_> = names.slots.iter().filter_map(slot).collect();
    if state.is_empty() {
        let reason = "the optimizer's state was asked for, but there is none";
        return Err(Error::malformed(path, reason));
    }
    let step = ValueOrigin::Integer(global_step.unwrap_or(0));
    state.push(assignment(OPTIMIZER_STEP.to_owned(), Vec::new(), step));
    Ok(state)
}

/// Why variables are not used, if they are not.
fn unused(names: &CanonicalNames, options: &ImportOptions) -> Vec<(String, String)> {
    let mut reasons = Vec::new();
    let mut add = |key: &String, reason: &str| reasons.push((key.clone(), reason.to_owned()));
    for (canonical, key) in names.weights.iter().chain(&names.moving_averages) {
        if canonical.starts_with("head_") {
            add(key, "the head was not asked for");
        }
    }
    let (others, reason) = if options.moving_average {
        (&names.weights, "the moving average was taken instead")
    } else {
        (&names.moving_averages, "a moving average, not asked for")
    };
    for (canonical, key) in others {
        let dropped = canonical.starts_with("head_contrastive") && !options.heads.projection()
            || canonical.starts_with("head_supervised") && !options.heads.supervised();
        if !dropped {
            add(key, reason);
        }
    }
    let slot = if options.optimizer_state {
        "state of the optimizer for a parameter that was not taken"
    } else {
        "state of the optimizer, not asked for"
    };
    for key in names.slots.values() {
        add(key, slot);
    }
    for key in &names.others {
        let is = |prefix: &str| key.starts_with(prefix);
        let bookkeeping = is("save_counter") || is("_CHECKPOINTABLE_OBJECT_GRAPH");
        let reason = if bookkeeping || is_step(key) {
            "bookkeeping of TensorFlow"
        } else if is("optimizer/") {
            "the optimizer's own, of no parameter"
        } else {
            "no part of a SimCLR network"
        };
        add(key, reason);
    }
    reasons
}

/// Whether the variables are the same with and without selective kernels: the basic blocks have
/// none, the CIFAR stem is the same, and shortcuts differ in their pooling only.
fn hides_sk_ratio(encoder: &ResNetConfig) -> bool {
    encoder.stem == Stem::Cifar && matches!(encoder.depth, 18 | 34)
}

fn assumptions(config: &SimClrConfig) -> Vec<String> {
    let mut assumptions = Vec::new();
    if config.supervised_head.is_some() && config.projection_head.depth() > 0 {
        assumptions.push(format!(
            "the supervised head stands on level {} of the projection head (option \
             ft_proj_selector)",
            i64::from(config.projection_head.fine_tune_from)
        ));
    }
    if hides_sk_ratio(&config.encoder) {
        let ratio = config.encoder.sk_ratio;
        assumptions.push(format!(
            "the ratio of selective kernels is {ratio} (option sk_ratio)"
        ));
    }
    assumptions
}

/// A single integer, if there is one of this name.
fn read_integer(bundle: &Bundle, name: &str) -> Option<i64> {
    let array = bundle.get(name).and_then(|_| bundle.read(name).ok())?;
    match array.values {
        Values::I64(values) if array.shape.is_empty() => values.first().copied(),
        Values::I32(values) if array.shape.is_empty() => values.first().map(|&v| i64::from(v)),
        _ => None,
    }
}
