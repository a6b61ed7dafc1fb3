//! From the names in a TensorFlow checkpoint to those of the original's first version, which
//! serve as canonical: `base_model/conv2d_3/kernel`, `head_contrastive/nl_0/dense/kernel`.
//!
//! There are four ways to name the same variable:
//!
//! | form | example |
//! | --- | --- |
//! | name-based (TensorFlow 1) | `base_model/conv2d_3/kernel` |
//! | key of a dictionary in the object graph (converted from TensorFlow 1) | `vars/base_model.Sconv2d_3.Skernel/.ATTRIBUTES/VARIABLE_VALUE` |
//! | path in the object graph | `model/resnet_model/block_groups/0/layers/0/conv2d_bn_layers/2/conv2d/kernel/.ATTRIBUTES/VARIABLE_VALUE` |
//! | full name in the object graph | `resnet/block_group1/residual_block/conv2d_fixed_padding_3/conv2d_3/kernel` |
//!
//! Numbers in names count layers in the order of construction, from wherever the program's
//! counters stood: where they begin does not matter. In name-based checkpoints, whose numbers
//! belong to one graph, their distance does; so a missing layer is noticed by its number. In
//! object graphs only their order does. Paths say where a layer is; sorted (the shortcut before
//! the main path) they give the same order.

mod dictionary;
mod full_name;
mod location;
mod object_path;

use std::collections::{BTreeMap, BTreeSet};

use location::{Collection, Kind, Location, Parsed, Part};

use crate::Result;
use crate::tensorflow::Bundle;

/// The variables of a checkpoint by their canonical names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CanonicalNames {
    /// Canonical name of each parameter and moving statistic, and the name in the checkpoint.
    pub weights: BTreeMap<String, String>,
    /// The same for the moving averages of parameters.
    pub moving_averages: BTreeMap<String, String>,
    /// The same for what an optimizer keeps; the keys have the optimizer's word for it, in
    /// this workspace's terms, as their second part (`momentum`, `velocity`, `first_moment`,
    /// `second_moment`).
    pub slots: BTreeMap<(String, String), String>,
    /// Names in the checkpoint that belong to no parameter of a SimCLR network.
    pub others: Vec<String>,
    /// Two names in the checkpoint for one parameter: canonical name, the one that counts,
    /// the other.
    pub conflicts: Vec<(String, String, String)>,
    /// Whether an object graph's numbers had gaps, over which the layers were counted in order.
    pub gaps: bool,
}

/// Finds the canonical names of a checkpoint's variables, each given by its name there and, if
/// there is an object graph, its full name.
///
/// ```
/// let names = simclr_checkpoint::canonical_names([
///     ("trainable_variables_list/0/.ATTRIBUTES/VARIABLE_VALUE", Some("resnet/conv2d_8/kernel")),
///     ("trainable_variables_list/3/.ATTRIBUTES/VARIABLE_VALUE", Some("resnet/conv2d_9/kernel")),
/// ]);
/// assert!(names.weights["base_model/conv2d/kernel"].starts_with("trainable_variables_list/0/"));
/// assert!(names.weights["base_model/conv2d_1/kernel"].starts_with("trainable_variables_list/3/"));
/// ```
pub fn canonical_names<'a>(
    variables: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
) -> CanonicalNames {
    let variable = |(key, full_name)| Variable {
        key,
        path: key,
        name_in_dictionary: dictionary::name_of_key(key),
        full_name,
    };
    canonical_names_of(&variables.into_iter().map(variable).collect::<Vec<_>>())
}

/// What is known of a variable.
struct Variable<'a> {
    key: &'a str,
    /// Its path in the object graph, as keys are written; the key if it is not known.
    path: &'a str,
    /// Its name in a dictionary, if it may be in one.
    name_in_dictionary: Option<String>,
    full_name: Option<&'a str>,
}

fn canonical_names_of(variables: &[Variable<'_>]) -> CanonicalNames {
    let path = |variable: &Variable<'_>| object_path::parse(variable.path);
    let by_path: Vec<_> = variables.iter().map(path).collect();
    let full_name = |variable: &Variable<'_>| match variable.full_name {
        Some(full_name) => full_name::parse(full_name),
        None if object_path::is_object_key(variable.key) => None,
        None => full_name::parse(variable.key),
    };
    let by_name: Vec<_> = variables.iter().map(full_name).collect();
    let in_dictionary = |variable: &Variable<'_>| {
        let name = variable.name_in_dictionary.as_deref();
        name.and_then(full_name::parse)
    };
    let by_key: Vec<_> = variables.iter().map(in_dictionary).collect();
    // Paths and numbers do not mix: whichever explains most variables is taken for all.
    let explained = |parsed: &[Option<Parsed>]| parsed.iter().flatten().count();
    let [paths, keys, names] = [&by_path, &by_key, &by_name].map(|parsed| explained(parsed));
    let (parsed, is_dictionary) = if paths >= keys.max(names) {
        (by_path, false)
    } else if keys >= names {
        (by_key, true)
    } else {
        (by_name, false)
    };
    let has_graph = variables.iter().any(|v| v.full_name.is_some());
    // The names of TensorFlow 1's variables belong to one graph, in whatever dictionary they are.
    let mut names = variables
        .iter()
        .filter_map(|v| v.name_in_dictionary.as_deref());
    let is_one_graph = is_dictionary && names.any(|name| name.starts_with("base_model/"));
    let keep_distances = !has_graph || is_one_graph;
    let numbers = Numbers::of(parsed.iter().flatten(), keep_distances);
    let projection_prefix = projection_prefix(parsed.iter().flatten());
    let mut names = CanonicalNames {
        gaps: !keep_distances && numbers.gaps,
        ..CanonicalNames::default()
    };
    for (variable, parsed) in variables.iter().zip(&parsed) {
        let canonical = parsed
            .as_ref()
            .and_then(|parsed| numbers.canonical(&parsed.location, projection_prefix));
        match (parsed, canonical) {
            (Some(parsed), Some(canonical)) => {
                names.insert(variable.key, &parsed.collection, canonical);
            }
            _ => names.others.push(variable.key.to_owned()),
        }
    }
    names
}

impl CanonicalNames {
    /// Finds the canonical names of a checkpoint's variables. If it has an object graph, its
    /// references count before its full names: they do not depend on counters.
    ///
    /// # Errors
    /// Fails if the object graph is damaged.
    pub fn of(bundle: &Bundle) -> Result<Self> {
        let Some(graph) = bundle.object_graph()? else {
            let keys = bundle.variables().map(|(key, _)| (key, None));
            return Ok(canonical_names(keys));
        };
        let paths = object_path::paths(&graph);
        let mut in_dictionaries = dictionary::names(&graph);
        let saved = graph.variables().iter();
        let full_names: BTreeMap<&str, &str> = saved
            .filter(|variable| !variable.full_name.is_empty())
            .map(|variable| (variable.key.as_str(), variable.full_name.as_str()))
            .collect();
        let mut variable = |(key, _)| Variable {
            key,
            path: paths.get(key).map_or(key, String::as_str),
            name_in_dictionary: in_dictionaries
                .remove(key)
                .or_else(|| dictionary::name_of_key(key)),
            full_name: full_names.get(key).copied(),
        };
        let variables: Vec<Variable<'_>> = bundle.variables().map(&mut variable).collect();
        Ok(canonical_names_of(&variables))
    }

    fn insert(&mut self, key: &str, collection: &Collection, canonical: String) {
        let key = key.to_owned();
        let name = canonical.clone();
        let before = match collection {
            Collection::Weights => self.weights.insert(canonical, key.clone()),
            Collection::MovingAverage => self.moving_averages.insert(canonical, key.clone()),
            Collection::Slot(slot) => {
                let slot = (canonical, (*slot).to_owned());
                self.slots.insert(slot, key.clone())
            }
        };
        if let Some(before) = before {
            self.conflicts.push((name, key, before));
        }
    }
}

/// The canonical numbers of the encoder's convolutions and batch norms.
struct Numbers {
    layers: BTreeMap<(Kind, Vec<u64>), u64>,
    /// Whether the names' numbers are not consecutive.
    gaps: bool,
}

impl Numbers {
    fn of<'a>(parsed: impl Iterator<Item = &'a Parsed>, keep_distances: bool) -> Self {
        let mut units: BTreeMap<Kind, BTreeSet<Vec<u64>>> = BTreeMap::new();
        for Location {
            part, unit, kind, ..
        } in parsed.map(|parsed| &parsed.location)
        {
            if *part == Part::Encoder {
                units.entry(*kind).or_default().insert(unit.clone());
            }
        }
        let gaps = units.values().any(has_gaps);
        let numbered = units.into_iter().flat_map(|(kind, units)| {
            let numbers = number(units, keep_distances).into_iter();
            numbers.map(move |(unit, number)| ((kind, unit), number))
        });
        Self {
            layers: numbered.collect(),
            gaps,
        }
    }

    fn canonical(&self, location: &Location, projection_prefix: &str) -> Option<String> {
        let Location {
            part,
            unit,
            kind,
            leaf,
        } = location;
        let layer = match (part, kind) {
            (_, Kind::BatchNorm) => "batch_normalization",
            (Part::Encoder, Kind::Layer) => "conv2d",
            (_, Kind::Layer) => "dense",
        };
        Some(match part {
            Part::Encoder => match self.layers.get(&(*kind, unit.clone()))? {
                0 => format!("base_model/{layer}/{leaf}"),
                number => format!("base_model/{layer}_{number}/{leaf}"),
            },
            Part::ProjectionHead(prefix) => {
                let prefix = prefix.unwrap_or(projection_prefix);
                let number = unit.first()?;
                format!("head_contrastive/{prefix}_{number}/{layer}/{leaf}")
            }
            Part::SupervisedHead => format!("head_supervised/linear_layer/dense/{leaf}"),
        })
    }
}

/// The number of a layer that is known by number.
fn plain_number(unit: Option<&Vec<u64>>) -> Option<u64> {
    match unit.map(Vec::as_slice) {
        Some([number]) => Some(*number),
        _ => None,
    }
}

fn has_gaps(units: &BTreeSet<Vec<u64>>) -> bool {
    let ends = (plain_number(units.first()), plain_number(units.last()));
    matches!(ends, (Some(first), Some(last)) if last - first >= units.len() as u64)
}

/// Layers known by number may keep their distances; layers known by path are counted.
fn number(units: BTreeSet<Vec<u64>>, keep_distances: bool) -> BTreeMap<Vec<u64>, u64> {
    let first = plain_number(units.first()).filter(|_| keep_distances);
    let number = |(unit, rank): (Vec<u64>, u64)| match (unit.as_slice(), first) {
        ([number], Some(first)) => (vec![*number], number - first),
        _ => (unit, rank),
    };
    units.into_iter().zip(0..).map(number).collect()
}

/// Paths do not say whether a projection head is linear; one with several layers is not.
fn projection_prefix<'a>(parsed: impl Iterator<Item = &'a Parsed>) -> &'static str {
    let locations = parsed.map(|parsed| &parsed.location);
    let layers = locations.filter(|location| matches!(location.part, Part::ProjectionHead(_)));
    match layers.map(|location| &location.unit[..]).max() {
        Some([0]) => "l",
        _ => "nl",
    }
}
