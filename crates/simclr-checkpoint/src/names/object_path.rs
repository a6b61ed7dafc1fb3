//! Paths through the objects of the original's second version.

use std::collections::BTreeMap;

use super::location::{Collection, Kind, LEAVES, Location, Parsed, Part, collection, leaf};
use crate::tensorflow::ObjectGraph;

pub(super) const ATTRIBUTE: &str = "/.ATTRIBUTES/VARIABLE_VALUE";
pub(super) const SLOT: &str = "/.OPTIMIZER_SLOT/";

/// What the parts of a network are called by the model that holds them.
const ENCODER: &str = "resnet_model";
const PROJECTION_HEAD: &str = "_projection_head";
const SUPERVISED_HEAD: &str = "supervised_head";

/// The references on the way from a part of the network to what its layers hold; all others are
/// numbers in lists.
const REFERENCES: [&str; 21] = [
    "initial_conv_relu_max_pool",
    "block_groups",
    "layers",
    "shortcut_layers",
    "projection_layers",
    "conv2d_bn_layers",
    "conv_relu_dropblock_layers",
    "se_layer",
    "conv2d",
    "bn",
    "conv2d_fixed_padding",
    "batch_norm_relu",
    "conv2d_0",
    "batch_norm_relu_1",
    "conv2d_1",
    "se_reduce",
    "se_expand",
    "linear_layers",
    "linear_layer",
    "dense",
    "bn_relu",
];

/// The paths of variables in the object graph, by their keys, written as keys are.
pub(super) fn paths(graph: &ObjectGraph) -> BTreeMap<&str, String> {
    let parts = [ENCODER, PROJECTION_HEAD, SUPERVISED_HEAD];
    let is_number = |name: &str| name.len() < 5 && name.bytes().all(|byte| byte.is_ascii_digit());
    let paths = graph.paths(&parts, |name| {
        is_number(name) || REFERENCES.contains(&name) || LEAVES.contains(&name)
    });
    let slots = graph.slots().filter_map(|(key, original, word)| {
        let path = paths.get(original)?;
        collection(word)?;
        Some((key, format!("{path}{SLOT}optimizer/{word}{ATTRIBUTE}")))
    });
    let mut keys: BTreeMap<&str, String> = slots.collect();
    keys.extend(
        paths
            .iter()
            .map(|(key, path)| (*key, format!("{path}{ATTRIBUTE}"))),
    );
    keys
}

/// Whether a key is that of an object-based checkpoint.
pub(super) fn is_object_key(key: &str) -> bool {
    key.ends_with(ATTRIBUTE)
}

/// `None` if it is no parameter of a SimCLR network.
pub(super) fn parse(key: &str) -> Option<Parsed> {
    let path = key.strip_suffix(ATTRIBUTE)?;
    let (path, collection) = match path.split_once(SLOT) {
        Some((path, slot)) => {
            let (_, word) = slot.rsplit_once('/')?;
            (path, collection(word)?)
        }
        None => (path, Collection::Weights),
    };
    let segments: Vec<&str> = path.split('/').collect();
    let location = locate(&segments)?;
    Some(Parsed {
        collection,
        location,
    })
}

fn locate(segments: &[&str]) -> Option<Location> {
    let within = |name: &str| {
        let position = segments.iter().position(|segment| *segment == name)?;
        segments.get(position + 1..)
    };
    let (part, unit, kind, last) = if let Some(rest) = within(ENCODER) {
        let (unit, kind, last) = encoder(rest)?;
        (Part::Encoder, unit, kind, last)
    } else if let Some(rest) = within(PROJECTION_HEAD) {
        let (kind, layer, last) = match rest {
            ["linear_layers", layer, "dense", last] => (Kind::Layer, layer, last),
            ["linear_layers", layer, "bn_relu", "bn", last] => (Kind::BatchNorm, layer, last),
            _ => return None,
        };
        let unit = vec![layer.parse().ok()?];
        (Part::ProjectionHead(None), unit, kind, *last)
    } else {
        match within(SUPERVISED_HEAD)? {
            ["linear_layer", "dense", last] => (Part::SupervisedHead, vec![0], Kind::Layer, *last),
            _ => return None,
        }
    };
    let leaf = leaf(last)?;
    Some(Location {
        part,
        unit,
        kind,
        leaf,
    })
}

/// Layers in the order in which the original builds them: group, block, shortcut before main
/// path before squeeze-excitation, then the position in the list and within a selective kernel.
fn encoder<'a>(segments: &[&'a str]) -> Option<(Vec<u64>, Kind, &'a str)> {
    let number = |text: &str| text.parse::<u64>().ok();
    let (place, rest) = match segments {
        ["initial_conv_relu_max_pool", index, rest @ ..] => ([0, 0, 0, number(index)?], rest),
        ["block_groups", group, "layers", block, rest @ ..] => {
            let (branch, index, rest) = match rest {
                ["se_layer", rest @ ..] => (2, 0, rest),
                ["shortcut_layers" | "projection_layers", index, rest @ ..] => {
                    (0, number(index)?, rest)
                }
                [
                    "conv2d_bn_layers" | "conv_relu_dropblock_layers",
                    index,
                    rest @ ..,
                ] => (1, number(index)?, rest),
                _ => return None,
            };
            (
                [
                    number(group)?.checked_add(1)?,
                    number(block)?,
                    branch,
                    index,
                ],
                rest,
            )
        }
        _ => return None,
    };
    let (inner, kind, last) = match rest {
        ["conv2d", last] => (0, Kind::Layer, last),
        ["bn", last] => (0, Kind::BatchNorm, last),
        // A selective kernel.
        ["conv2d_fixed_padding", "conv2d", last] => (0, Kind::Layer, last),
        ["batch_norm_relu", "bn", last] => (0, Kind::BatchNorm, last),
        ["conv2d_0", last] => (1, Kind::Layer, last),
        ["batch_norm_relu_1", "bn", last] => (1, Kind::BatchNorm, last),
        ["conv2d_1", last] => (2, Kind::Layer, last),
        // Squeeze-excitation.
        ["se_reduce", last] => (0, Kind::Layer, last),
        ["se_expand", last] => (1, Kind::Layer, last),
        _ => return None,
    };
    Some(([&place[..], &[inner]].concat(), kind, last))
}
