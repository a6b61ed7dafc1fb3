//! What the variables of a TensorFlow checkpoint are.

use std::collections::BTreeMap;
use std::path::Path;

use simclr_model::{ParameterSpec, ProjectionHeadConfig, ResNetConfig, SimClrConfig};

use super::source::{SourceFile, SourceVariable, read_integer};
use super::{Assignment, ImportOptions, OPTIMIZER_STEP, Plan, ValueOrigin, assign, display_name};
use crate::architecture::{
    Shapes, canonical, is_statistic, recognize_encoder, recognize_projection_head,
    recognize_supervised_head,
};
use crate::format::Source;
use crate::names::{CanonicalNames, canonical_names};
use crate::tensorflow::{Bundle, ObjectGraph};
use crate::torch::Layout;
use crate::{Error, Result};

const STEM: &str = "base_model/conv2d/kernel";
const CLASSIFIER: &str = "head_supervised/linear_layer/dense/kernel";

/// Where the number of training steps is kept.
const STEPS: [&str; 4] = [
    "global_step",
    "global_step/.ATTRIBUTES/VARIABLE_VALUE",
    "optimizer/iter/.ATTRIBUTES/VARIABLE_VALUE",
    "optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE",
];

pub(super) fn plan(bundle: &Bundle, source: &SourceFile, options: &ImportOptions) -> Result<Plan> {
    let graph = bundle.object_graph()?;
    let names = names_of(bundle, graph.as_ref());
    let path = bundle.index();
    if let Some((canonical, first, second)) = names.conflicts.first() {
        let reason = format!("both `{first}` and `{second}` are {canonical}");
        return Err(Error::malformed(path, reason));
    }
    let variables = source.variables();
    let shapes = shapes(&names, &variables);
    let config = recognize(path, &shapes, options)?;
    let find = |spec: &ParameterSpec| {
        let averaged = options.moving_average;
        let plain = names.weights.get(&spec.original_name);
        let average = names.moving_averages.get(&spec.original_name);
        match averaged {
            false => plain.cloned(),
            // Statistics are averages already; some programs keep no second average of them.
            true if is_statistic(spec.role) => average.or(plain).cloned(),
            true => average.cloned(),
        }
    };
    let mut tensors = assign(path, &config, options, &variables, find, |_| Layout::Same)?;
    let global_step = STEPS.iter().find_map(|name| read_integer(source, name));
    if options.optimizer_state {
        tensors.extend(optimizer_state(
            path,
            &tensors,
            &config,
            &names,
            global_step,
        )?);
    }
    Ok(Plan {
        source: Source {
            kind: form(bundle, graph.as_ref()).to_owned(),
            name: name_of(bundle),
            global_step,
            moving_average: options.moving_average,
        },
        unused: unused(&names, options),
        assumptions: assumptions(&config),
        config,
        tensors,
    })
}

fn form(bundle: &Bundle, graph: Option<&ObjectGraph>) -> &'static str {
    let folder = bundle.prefix().parent().and_then(Path::file_name);
    match graph {
        None => "TensorFlow, name-based",
        Some(_) if folder.is_some_and(|name| name == "variables") => "TensorFlow, SavedModel",
        Some(_) => "TensorFlow, object-based",
    }
}

/// The folder and the prefix, or a SavedModel's folder.
fn name_of(bundle: &Bundle) -> String {
    let prefix = bundle.prefix();
    let folder = prefix.parent().unwrap_or(Path::new(""));
    if folder.ends_with("variables") {
        return display_name(folder.parent().unwrap_or(folder));
    }
    let (folder, prefix) = (display_name(folder), display_name(prefix));
    match folder.as_str() {
        "" | "." | ".." => prefix,
        folder => format!("{folder}/{prefix}"),
    }
}

fn names_of(bundle: &Bundle, graph: Option<&ObjectGraph>) -> CanonicalNames {
    let saved = graph.map(ObjectGraph::variables).unwrap_or_default();
    let full_names: BTreeMap<&str, &str> = saved
        .iter()
        .filter(|variable| !variable.full_name.is_empty())
        .map(|variable| (variable.key.as_str(), variable.full_name.as_str()))
        .collect();
    canonical_names(
        bundle
            .variables()
            .map(|(key, _)| (key, full_names.get(key).copied())),
    )
}

/// Shapes by canonical name; an average stands in where it is all there is.
fn shapes(names: &CanonicalNames, variables: &BTreeMap<String, SourceVariable>) -> Shapes {
    let all = names.moving_averages.iter().chain(&names.weights);
    all.filter_map(|(canonical, key)| Some((canonical.clone(), variables.get(key)?.shape.clone())))
        .collect()
}

/// Recognises a network from the shapes of its variables, by their canonical names
/// (`base_model/conv2d/kernel` and so on). `path` is for error messages.
///
/// A CIFAR-stem ResNet-18 or -34 has the same variables with and without `sk_ratio`; it is
/// taken for one without.
///
/// # Errors
/// [`Error::DoesNotFit`] if variables are left over or of another shape than those of the
/// closest network; missing ones are not looked for here.
pub fn recognize(
    path: &Path,
    shapes: &BTreeMap<String, Vec<usize>>,
    options: &ImportOptions,
) -> Result<SimClrConfig> {
    let is_encoder = |(name, _): &(&String, &Vec<usize>)| name.starts_with("base_model/");
    let encoder: Shapes = shapes
        .iter()
        .filter(is_encoder)
        .map(|(name, shape)| (name.clone(), shape.clone()))
        .collect();
    let base = ResNetConfig::default();
    let found = recognize_encoder(&encoder, canonical, STEM, &base);
    let (encoder, mut differences) = found.ok_or_else(|| {
        let reason = "no ResNet of SimCLR: it has no variable that could be the first \
                      convolution (`base_model/conv2d/kernel`, 7 x 7 or 3 x 3)";
        Error::malformed(path, reason)
    })?;
    let projection_head = match options.heads.projection() {
        true => recognize_projection_head(shapes),
        false => ProjectionHeadConfig::none(),
    };
    let supervised = shapes
        .get(CLASSIFIER)
        .filter(|_| options.heads.supervised());
    let config = SimClrConfig {
        encoder,
        projection_head: ProjectionHeadConfig {
            ft_proj_selector: options.ft_proj_selector,
            ..projection_head
        },
        supervised_head: recognize_supervised_head(supervised),
    };
    // What is missing may be allowed to be; what is left over means another network.
    differences.missing.clear();
    match differences.count() {
        0 => Ok(config),
        _ => Err(Error::does_not_fit(path, &config, &differences)),
    }
}

/// The optimizer's tensors, under the names that this workspace's optimizers expect.
fn optimizer_state(
    path: &Path,
    parameters: &[Assignment],
    config: &SimClrConfig,
    names: &CanonicalNames,
    global_step: Option<i64>,
) -> Result<Vec<Assignment>> {
    let specs = config.parameter_specs().map_err(Error::model(path))?;
    let ours: BTreeMap<&str, &ParameterSpec> = specs
        .iter()
        .map(|spec| (spec.original_name.as_str(), spec))
        .collect();
    let mut state = Vec::new();
    for ((canonical, slot), key) in &names.slots {
        let Some(spec) = ours.get(canonical.as_str()) else {
            continue;
        };
        if parameters.iter().any(|tensor| tensor.name == spec.name) {
            state.push(Assignment {
                name: format!("{}.{slot}", spec.name),
                shape: spec.shape.clone(),
                is_parameter: false,
                origin: ValueOrigin::Variable(key.clone(), Layout::Same),
            });
        }
    }
    if state.is_empty() {
        let reason = "the optimizer's state was asked for, but there is none";
        return Err(Error::malformed(path, reason));
    }
    state.push(Assignment {
        name: OPTIMIZER_STEP.to_owned(),
        shape: Vec::new(),
        is_parameter: false,
        origin: ValueOrigin::Integer(global_step.unwrap_or(0)),
    });
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
    let (others, reason) = match options.moving_average {
        true => (&names.weights, "the moving average was taken instead"),
        false => (&names.moving_averages, "a moving average, not asked for"),
    };
    for (canonical, key) in others {
        let dropped = canonical.starts_with("head_contrastive") && !options.heads.projection()
            || canonical.starts_with("head_supervised") && !options.heads.supervised();
        if !dropped {
            add(key, reason);
        }
    }
    for key in names.slots.values() {
        add(key, "state of the optimizer, not asked for");
    }
    for key in &names.others {
        let bookkeeping = STEPS.contains(&key.as_str())
            || key.starts_with("save_counter")
            || key.starts_with("_CHECKPOINTABLE_OBJECT_GRAPH");
        match bookkeeping {
            true => add(key, "bookkeeping of TensorFlow"),
            false => add(key, "no part of a SimCLR network"),
        }
    }
    reasons
}

fn assumptions(config: &SimClrConfig) -> Vec<String> {
    let mut assumptions = Vec::new();
    if config.supervised_head.is_some() && config.projection_head.depth() > 0 {
        assumptions.push(format!(
            "the supervised head stands on level {} of the projection head (option \
             ft_proj_selector)",
            config.projection_head.ft_proj_selector
        ));
    }
    assumptions
}
