//! The ResNets in a file of PyTorch's: where their tensors are, and what they are called there.

use std::collections::BTreeMap;
use std::path::Path;

use super::options::ImportOptions;
use super::source::SourceFile;
use super::source_variable::SourceVariable;
use crate::torch::STEM;
use crate::{Error, Result};

/// Where training scripts put the parameters. Of several networks, that under one of these.
const STATE_DICTIONARIES: [&str; 4] = ["state_dict", "model", "model_state", "model_state_dict"];

/// What the two networks of self-supervised methods are called: the one that is trained, and the
/// one that follows it.
const TRAINED: [&str; 5] = ["online", "query", "q", "student", "base"];
const FOLLOWING: [&str; 7] = ["target", "key", "k", "teacher", "momentum", "ema", "slow"];

/// What compiling, parallel execution and checkpoints of activations put into names.
const WRAPPERS: [&str; 4] = [
    "module",
    "_orig_mod",
    "_checkpoint_wrapped_module",
    "_fsdp_wrapped_module",
];

/// A ResNet of a file.
pub(super) struct Network<'a> {
    /// What stands before all of its names, such as `module.` or `state_dict.backbone.`.
    pub(super) prefix: String,
    /// Its tensors and whatever else is under the prefix, by torchvision's names; and their names
    /// in the file.
    pub(super) tensors: BTreeMap<String, (&'a str, &'a SourceVariable)>,
}

/// What stands before the names of each ResNet with torchvision's names in a file: what
/// [`ImportOptions::branch`] chooses among. None in TensorFlow's checkpoints.
pub fn networks(source: &SourceFile) -> Vec<String> {
    let variables = source.variables();
    let prefixes = variables.keys().filter_map(|name| prefix(name, &variables));
    prefixes
        .map(|prefix| prefix.trim_end_matches('.').to_owned())
        .collect()
}

/// Finds the network that the options choose.
pub(super) fn find<'a>(
    source: &SourceFile,
    variables: &'a BTreeMap<String, SourceVariable>,
    options: &ImportOptions,
    assumptions: &mut Vec<String>,
) -> Result<Network<'a>> {
    let path = source.path();
    let mut prefixes: Vec<&str> = variables
        .keys()
        .filter_map(|name| prefix(name, variables))
        .collect();
    if prefixes.is_empty() {
        if let Some(stem) = deep_stem(variables) {
            let what = "a ResNet whose stem has several convolutions (ResNet-C, ResNet-D)";
            let reason = format!("it has `{stem}` in place of `{STEM}`");
            return Err(Error::unsupported(path, what, reason));
        }
        return Err(Error::malformed(path, no_network(variables)));
    }
    let all = prefixes.clone();
    if let Some(branch) = &options.branch {
        prefixes = chosen(&prefixes, branch);
    }
    // The same network may have several names.
    let mut distinct: Vec<&str> = Vec::new();
    for prefix in prefixes {
        let known = |other: &&str| is_same(source, variables, &all, [prefix, other]);
        if !distinct.iter().any(known) {
            distinct.push(prefix);
        }
    }
    let mut usual = distinct.iter().filter(|prefix| is_usual(prefix));
    let prefix = match (distinct.as_slice(), usual.next(), usual.next()) {
        ([only], ..) => *only,
        (_, Some(usual), None) if options.branch.is_none() && !holds_another(usual, &all) => {
            let others = distinct.iter().filter(|other| *other != usual);
            assumptions.push(format!(
                "the network under `{usual}` is meant, not {} (option branch)",
                quoted(others.copied())
            ));
            usual
        }
        _ => return Err(several(path, &all, options)),
    };
    Ok(Network {
        tensors: tensors(prefix, &all, variables),
        prefix: prefix.to_owned(),
    })
}

/// What stands before the names of the network whose first convolution this is.
fn prefix<'a>(name: &'a str, variables: &BTreeMap<String, SourceVariable>) -> Option<&'a str> {
    let at = |stem: &str| {
        let prefix = name.strip_suffix(stem)?;
        (prefix.is_empty() || prefix.ends_with('.')).then_some(prefix)
    };
    let shape = &variables.get(name)?.shape;
    let takes_colours = matches!(shape[..], [_, 3, _, _]);
    let has = |prefix: &str, block: &str| variables.contains_key(&format!("{prefix}{block}"));
    if shape.len() != 4 {
        None
    } else if let Some(prefix) = at(STEM) {
        (takes_colours || has(prefix, "layer1.0.conv1.weight")).then_some(prefix)
    } else {
        at("0.weight").filter(|prefix| groups(prefix, variables).len() == 4)
    }
}

/// The first of several convolutions in the stem of a network that is a ResNet otherwise.
fn deep_stem(variables: &BTreeMap<String, SourceVariable>) -> Option<&String> {
    variables.keys().find(|name| {
        let prefix = name.strip_suffix("conv1.0.weight");
        prefix
            .is_some_and(|prefix| variables.contains_key(&format!("{prefix}layer1.0.conv1.weight")))
    })
}

/// Whether all tensors that both networks have are the same in the file: two networks may share a
/// frozen part.
fn is_same(
    source: &SourceFile,
    variables: &BTreeMap<String, SourceVariable>,
    all: &[&str],
    [first, second]: [&str; 2],
) -> bool {
    let second = tensors(second, all, variables);
    tensors(first, all, variables)
        .iter()
        .all(|(name, (first, _))| match second.get(name) {
            Some((second, _)) => source.shares_values(first, second),
            None => true,
        })
}

/// The positions of a ResNet's groups of blocks in a `Sequential` of its parts: those of what has
/// a first block, in their order. Pooling and activations in between count or not.
fn groups(prefix: &str, variables: &BTreeMap<String, SourceVariable>) -> Vec<u32> {
    let position = |name: &String| {
        let position = name.strip_prefix(prefix)?.strip_suffix(".0.conv1.weight")?;
        position.parse::<u32>().ok()
    };
    let mut positions: Vec<u32> = variables.keys().filter_map(position).collect();
    positions.sort_unstable();
    positions
}

/// Whether the names of another network begin with this prefix, too.
fn holds_another(prefix: &str, all: &[&str]) -> bool {
    let mut others = all.iter().filter(|other| **other != prefix);
    others.any(|other| other.starts_with(prefix))
}

/// The tensors under a prefix, by torchvision's names, without those of networks within.
fn tensors<'a>(
    prefix: &str,
    all: &[&str],
    variables: &'a BTreeMap<String, SourceVariable>,
) -> BTreeMap<String, (&'a str, &'a SourceVariable)> {
    let is_sequential = !variables.contains_key(&format!("{prefix}{STEM}"));
    let groups = if is_sequential {
        groups(prefix, variables)
    } else {
        Vec::new()
    };
    let longer = all.iter().filter(|other| other.len() > prefix.len());
    let within: Vec<&&str> = longer.filter(|other| other.starts_with(prefix)).collect();
    let mut tensors = BTreeMap::new();
    for (name, variable) in variables {
        let Some(rest) = name.strip_prefix(prefix) else {
            continue;
        };
        if within.iter().any(|other| name.starts_with(**other)) {
            continue;
        }
        let plain = without_wrappers(rest);
        let mut place = torchvision_name(&plain, &groups);
        // Of two tensors for one place the second keeps its name, and is left over.
        let has_plain = plain != rest && variables.contains_key(&format!("{prefix}{plain}"));
        if has_plain || tensors.contains_key(&place) {
            place = rest.to_owned();
        }
        tensors.insert(place, (name.as_str(), variable));
    }
    tensors
}

/// A name without the parts that wrappers of inner modules put into it.
fn without_wrappers(name: &str) -> String {
    let parts = name.split('.').filter(|part| !WRAPPERS.contains(part));
    parts.collect::<Vec<_>>().join(".")
}

/// torchvision's name of what is at this place of a `Sequential` with these groups of blocks, or
/// has this name elsewhere.
fn torchvision_name(name: &str, groups: &[u32]) -> String {
    let (first, rest) = name.split_once('.').unwrap_or((name, ""));
    let position = first.parse::<u32>().ok().filter(|_| !groups.is_empty());
    let group = position.and_then(|at| groups.iter().position(|group| *group == at));
    let first = match (position, group) {
        (_, Some(group)) => format!("layer{}", group + 1),
        (Some(0), _) => "conv1".to_owned(),
        (Some(1), _) => "bn1".to_owned(),
        // Behind the blocks and the pooling.
        (Some(at), _) if groups.last().is_some_and(|last| at > *last) => "fc".to_owned(),
        _ if first == "linear" => "fc".to_owned(),
        _ => first.to_owned(),
    };
    if rest.is_empty() {
        return first;
    }
    // So the networks for CIFAR call them that many train.
    format!("{first}.{}", rest.replace(".shortcut.", ".downsample."))
}

/// The networks that a name of a branch means: a part of their prefixes, or a word in it.
fn chosen<'a>(prefixes: &[&'a str], branch: &str) -> Vec<&'a str> {
    let branch = branch.trim_end_matches('.');
    let that = |test: &dyn Fn(&str) -> bool| -> Vec<&'a str> {
        prefixes
            .iter()
            .copied()
            .filter(|prefix| test(prefix))
            .collect()
    };
    let whole = that(&|prefix| prefix.trim_end_matches('.') == branch);
    if !whole.is_empty() {
        return whole;
    }
    let exact = that(&|prefix| format!(".{prefix}").contains(&format!(".{branch}.")));
    if !exact.is_empty() {
        return exact;
    }
    let has =
        |prefix: &str, words: &[&str]| prefix.split(['.', '_']).any(|word| words.contains(&word));
    if FOLLOWING.contains(&branch) {
        that(&|prefix| has(prefix, &FOLLOWING))
    } else if TRAINED.contains(&branch) {
        that(&|prefix| !has(prefix, &FOLLOWING))
    } else {
        that(&|prefix| has(prefix, &[branch]))
    }
}

fn is_usual(prefix: &str) -> bool {
    let first = prefix.split('.').next().unwrap_or_default();
    prefix.is_empty() || STATE_DICTIONARIES.contains(&first)
}

fn several(path: &Path, prefixes: &[&str], options: &ImportOptions) -> Error {
    Error::Setting {
        setting: "branch",
        expected: format!(
            "one of the networks of {}: {}",
            path.display(),
            quoted(prefixes.iter().copied())
        ),
        found: options.branch.clone().unwrap_or_else(|| "none".to_owned()),
    }
}

fn quoted<'a>(prefixes: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = prefixes
        .map(|prefix| match prefix.trim_end_matches('.') {
            "" => "the one whose names begin with `conv1`".to_owned(),
            prefix => format!("`{prefix}`"),
        })
        .collect();
    quoted.join(", ")
}

/// What there is in place of a network.
fn no_network(variables: &BTreeMap<String, SourceVariable>) -> String {
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    for name in variables.keys() {
        *groups
            .entry(name.split_once('.').map_or("", |(first, _)| first))
            .or_default() += 1;
    }
    let counts: Vec<_> = groups
        .iter()
        .map(|(first, count)| match *first {
            "" => format!("{count} by themselves"),
            first => format!("{count} under `{first}`"),
        })
        .collect();
    let tensors = if counts.is_empty() {
        "no tensors".to_owned()
    } else {
        format!("tensors: {}", counts.join(", "))
    };
    format!("no ResNet with torchvision's names: no tensor `{STEM}`; the file has {tensors}")
}
