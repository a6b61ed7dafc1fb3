//! The names of networks' variables in TensorFlow's checkpoints, and in their object graphs.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Device;
use simclr_checkpoint::import;

use crate::network::{checkpoint, flat, rename, small, variables};
use crate::support::{self, Written, float_variable};
use tempfile::TempDir;

/// The variables of [`small`] as a SavedModel has them: in a list, with an object graph. The
/// graph has the full names that `full_name` makes, and references if asked for.
fn saved_model(
    references: bool,
    full_name: impl Fn(&str) -> String,
) -> (TempDir, BTreeMap<String, String>) {
    let recorded = "../../tests/golden/checkpoints/tf2_object_r18_cifar/expected.json";
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join(recorded);
    let recorded: serde_json::Value =
        serde_json::from_slice(&std::fs::read(recorded).unwrap()).unwrap();
    let mut graph = support::Graph::default();
    let mut written = BTreeMap::new();
    let mut keys = BTreeMap::new();
    for (number, (name, variable)) in variables(&small()).into_iter().enumerate() {
        let key = format!("trainable_variables_list/{number}/.ATTRIBUTES/VARIABLE_VALUE");
        written.insert(key.clone(), rename(&variable, &key));
        let path = recorded["canonical_to_checkpoint_key"][&name]
            .as_str()
            .unwrap();
        let path = path.strip_suffix("/.ATTRIBUTES/VARIABLE_VALUE").unwrap();
        let node = if references {
            graph.node_at(path.split('/'))
        } else {
            graph.node_at(format!("trainable_variables_list/{number}").split('/'))
        };
        let values = &mut graph.nodes[node].values;
        values.push((full_name(&name), key.clone()));
        keys.insert(name, key);
    }
    let graph = graph.written();
    written.insert(graph.name.clone(), graph);
    (checkpoint(&written), keys)
}

fn sources(imported: &simclr_checkpoint::Imported) -> BTreeMap<String, String> {
    let specs = imported.config.parameter_specs().unwrap();
    let original: BTreeMap<_, _> = specs
        .into_iter()
        .map(|s| (s.name, s.original_name))
        .collect();
    let parameters = imported.report.parameters.iter();
    parameters
        .map(|origin| (original[&origin.name].clone(), origin.source.clone()))
        .collect()
}

#[test]
fn an_object_graph_names_variables_by_its_references() {
    // Names that say nothing, as after another program's conversion.
    let (folder, keys) = saved_model(true, |_| "Variable".to_owned());
    let imported = import(folder.path()).unwrap();
    assert_eq!(imported.config, small());
    assert_eq!(sources(&imported), keys);
    let gaps = |text: &String| text.contains("gaps");
    assert!(!imported.report.assumptions.iter().any(gaps));
}

#[test]
fn full_names_may_have_gaps_between_their_counters() {
    let (folder, keys) = saved_model(false, |name| {
        let Some(rest) = name.strip_prefix("base_model/") else {
            return name.to_owned();
        };
        let (layer, leaf) = rest.split_once('/').unwrap();
        let digits = layer.trim_start_matches(|c: char| !c.is_ascii_digit() || c == 'd');
        let number: usize = digits
            .strip_prefix("2d_")
            .unwrap_or(digits)
            .parse()
            .unwrap_or(0);
        let is_convolution = layer.starts_with("conv2d");
        let stem = if is_convolution {
            "conv2d"
        } else {
            "sync_batch_normalization"
        };
        // Twenty other layers were made in between.
        let number = number + if number > 7 { 73 } else { 53 };
        format!("resnet/block/{stem}_{number}/{leaf}")
    });
    let imported = import(folder.path()).unwrap();
    assert_eq!(imported.config, small());
    assert_eq!(sources(&imported), keys);
    let gaps = |text: &String| text.contains("numbers of the layers have gaps");
    assert!(imported.report.assumptions.iter().any(gaps));
}

#[test]
fn counters_may_begin_anywhere() {
    let config = small();
    let moved: BTreeMap<String, Written> = variables(&config)
        .into_iter()
        .map(|(name, variable)| {
            let raise = |stem: &str| {
                let rest = name.strip_prefix(&format!("base_model/{stem}"))?;
                let (number, leaf) = rest.split_once('/')?;
                let number: usize = number.trim_start_matches('_').parse().unwrap_or(0);
                Some(format!("base_model/{stem}_{}/{leaf}", number + 53))
            };
            let name = raise("conv2d")
                .or_else(|| raise("batch_normalization"))
                .unwrap_or(name);
            (name.clone(), rename(&variable, &name))
        })
        .collect();
    let imported = import(checkpoint(&moved).path()).unwrap();
    assert_eq!(imported.config, config);
}

/// Where a program put the variables of a checkpoint of TensorFlow 1, which it gave by name.
#[derive(Debug, Clone, Copy)]
enum Kept {
    /// `tf.train.Checkpoint(vars={name: variable})`.
    Flat(&'static [&'static str]),
    /// `vars={"base_model": {"conv2d": {"kernel": variable}}}`
    Nested(&'static [&'static str]),
    /// As [`Self::Flat`], but in a list too, through which the keys go.
    Listed,
}

/// The same variables as an object-based checkpoint, whose full names say nothing.
fn converted(variables: &BTreeMap<String, Written>, kept: Kept, graph_too: bool) -> TempDir {
    let mut graph = support::Graph::default();
    let mut written = BTreeMap::new();
    for (number, (name, variable)) in variables.iter().enumerate() {
        let escaped = name.replace('.', "..").replace('/', ".S");
        let (path, node) = match kept {
            Kept::Flat(at) => {
                let node = graph.node_at(at.iter().copied().chain([name.as_str()]));
                ([at, &[escaped.as_str()]].concat().join("/"), node)
            }
            Kept::Nested(at) => {
                let node = graph.node_at(at.iter().copied().chain(name.split('/')));
                ([at, &[name.as_str()]].concat().join("/"), node)
            }
            Kept::Listed => {
                let node = graph.node_at(["vars", name].into_iter());
                (format!("all/{number}"), node)
            }
        };
        let key = format!("{path}/.ATTRIBUTES/VARIABLE_VALUE");
        let values = &mut graph.nodes[node].values;
        values.push(("Variable".to_owned(), key.clone()));
        written.insert(key.clone(), rename(variable, &key));
    }
    if graph_too {
        let graph = graph.written();
        written.insert(graph.name.clone(), graph);
    }
    checkpoint(&written)
}

#[test]
fn converted_checkpoints_are_the_networks_that_they_were_made_from() {
    let mut all = variables(&small());
    for (name, from) in [
        (
            "base_model/conv2d/kernel/Momentum",
            "base_model/conv2d/kernel",
        ),
        (
            "ema_model/base_model/conv2d/kernel",
            "base_model/conv2d/kernel",
        ),
    ] {
        all.insert(name.into(), rename(&all[from], name));
    }
    let mut step = float_variable("global_step", &[], &[]);
    step.data_type = 9;
    step.parts[0].bytes = 12i64.to_le_bytes().to_vec();
    all.insert("global_step".into(), step);
    let direct = import(checkpoint(&all).path()).unwrap();
    let values = direct.load(&Device::Cpu).unwrap();
    for (kept, graph_too) in [
        (Kept::Flat(&["vars"]), true),
        (Kept::Flat(&["vars"]), false),
        (Kept::Flat(&[]), true),
        (Kept::Flat(&["model", "weights.1"]), true),
        (Kept::Nested(&["vars"]), true),
        (Kept::Nested(&["vars"]), false),
        (Kept::Listed, true),
    ] {
        let folder = converted(&all, kept, graph_too);
        let imported = import(folder.path()).unwrap();
        assert_eq!(imported.config, direct.config, "{kept:?}");
        let loaded = imported.load(&Device::Cpu).unwrap();
        assert!(loaded.tensors.keys().eq(values.tensors.keys()));
        for (name, tensor) in &loaded.tensors {
            assert_eq!(
                flat(tensor),
                flat(&values.tensors[name]),
                "{kept:?}: {name}"
            );
        }
        let reasons = imported
            .report
            .unused
            .iter()
            .map(|unused| unused.reason.as_str());
        assert_eq!(
            reasons
                .filter(|reason| reason.contains("not asked for"))
                .count(),
            2,
            "{kept:?}"
        );
        let steps = imported.report.source.global_step;
        assert_eq!(
            steps,
            (!matches!(kept, Kept::Listed)).then_some(12),
            "{kept:?}"
        );
    }
    // A layer that is not there is missed by its number, as in TensorFlow 1.
    all.retain(|name, _| !name.starts_with("base_model/conv2d_7/"));
    let folder = converted(&all, Kept::Flat(&["vars"]), true);
    let error = import(folder.path()).unwrap_err().to_string();
    assert!(error.contains("base_model/conv2d_7/kernel"), "{error}");
}

#[test]
fn networks_for_grey_images_are_named_as_such() {
    let mut all = variables(&small());
    let stem = "base_model/conv2d/kernel";
    all.insert(
        stem.into(),
        float_variable(stem, &[3, 3, 1, 64], &[0.5; 576]),
    );
    let error = import(checkpoint(&all).path()).unwrap_err().to_string();
    assert!(
        error.contains("a first convolution for images of 1 channel"),
        "{error}"
    );
}
