//! Names as the program had them: those of name-based checkpoints, and the full names in
//! object graphs.

use super::location::{Collection, Kind, Location, Parsed, Part, collection, leaf, numbered};

/// `None` if it is no parameter of a SimCLR network.
pub(super) fn parse(name: &str) -> Option<Parsed> {
    let mut segments: Vec<&str> = name.split('/').collect();
    let averaged = segments.first() == Some(&"ema_model");
    if averaged {
        segments.remove(0);
    }
    let kept = segments.last().and_then(|word| collection(word));
    if kept.is_some() {
        segments.pop();
    }
    let collection = match (kept, averaged) {
        (None, false) => Collection::Weights,
        (None, true) => Collection::MovingAverage,
        (Some(kept), false) => kept,
        (Some(_), true) => return None,
    };
    let location = locate(&segments, averaged)?;
    Some(Parsed {
        collection,
        location,
    })
}

fn locate(segments: &[&str], averaged: bool) -> Option<Location> {
    let (last, scopes) = segments.split_last()?;
    let leaf = leaf(last)?;
    let (unit, outer) = scopes.split_last()?;
    let (stem, number) = numbered(unit);
    let kind = match stem {
        "conv2d" | "dense" => Kind::Layer,
        "batch_normalization" | "sync_batch_normalization" => Kind::BatchNorm,
        _ => return None,
    };
    let has = |names: &[&str]| outer.iter().any(|scope| names.contains(scope));
    let is_encoder = has(&["base_model", "resnet", "resnet_model"]) || averaged && outer.is_empty();
    let (part, number, fits) = if has(&["head_contrastive", "projection_head", "_projection_head"])
    {
        let (prefix, layer) = outer.iter().find_map(|scope| projection_layer(scope))?;
        (Part::ProjectionHead(Some(prefix)), layer, stem != "conv2d")
    } else if has(&["head_supervised", "supervised_head"]) {
        (Part::SupervisedHead, 0, stem == "dense")
    } else {
        (Part::Encoder, number, is_encoder && stem != "dense")
    };
    let unit = vec![number];
    fits.then_some(Location {
        part,
        unit,
        kind,
        leaf,
    })
}

/// `nl_0` or `l_0`.
fn projection_layer(scope: &str) -> Option<(&'static str, u64)> {
    let (prefix, digits) = scope.split_once('_')?;
    let prefix = ["nl", "l"].into_iter().find(|known| *known == prefix)?;
    Some((prefix, digits.parse().ok()?))
}
