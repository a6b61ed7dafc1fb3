//! Tables of the names that the second version of the original gives its variables.

use std::collections::BTreeMap;

use serde_json::Value;
use simclr_checkpoint::canonical_names;

use super::expected::texts;
use crate::{CaseReport, Result};

/// What follows the path of a variable in the key of its values.
const ATTRIBUTE: &str = "/.ATTRIBUTES/VARIABLE_VALUE";
const SLOT: &str = "/.OPTIMIZER_SLOT/optimizer/Momentum/.ATTRIBUTES/VARIABLE_VALUE";

pub(super) fn check(file: &str, table: &Value, report: &mut CaseReport) -> Result<()> {
    let forms = [
        (
            "canonical_to_object_key",
            "object_key_to_full_name",
            "other_keys",
        ),
        (
            "canonical_to_saved_model_key",
            "saved_model_key_to_full_name",
            "saved_model_other_keys",
        ),
    ];
    for (keys, full_names, others) in forms {
        check_form(
            file,
            &table[keys],
            &table[full_names],
            &table[others],
            report,
        );
    }
    check_paths_alone(file, &table["canonical_to_object_key"], report);
    Ok(())
}

/// Keys with their full names, as an object graph has them.
fn check_form(
    file: &str,
    keys: &Value,
    full_names: &Value,
    others: &Value,
    report: &mut CaseReport,
) {
    let full_names: BTreeMap<&str, &str> = texts(full_names).collect();
    let expected: BTreeMap<&str, &str> = texts(keys).collect();
    let others: Vec<&str> = others
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect();
    let all = expected.values().chain(&others);
    let names = canonical_names(all.map(|key| (*key, full_names.get(key).copied())));
    let label = |what: &str| format!("{file}: {what} ({} keys)", expected.len());
    report.require(
        &label("variables"),
        !expected.is_empty() && same(&names.weights, &expected),
    );
    let mut unmapped: Vec<&str> = names.others.iter().map(String::as_str).collect();
    unmapped.sort_unstable();
    let mut others = others;
    others.sort_unstable();
    report.require(&label("everything else"), unmapped == others);
    report.require(&label("no conflicts"), names.conflicts.is_empty());

    // The same program later: all counters stand higher.
    let moved: BTreeMap<&str, String> = full_names
        .iter()
        .map(|(key, name)| (*key, renumber(name)))
        .collect();
    let all = expected.values();
    let names = canonical_names(all.map(|key| (*key, moved.get(key).map(String::as_str))));
    report.require(
        &label("counters from elsewhere"),
        same(&names.weights, &expected),
    );
}

/// Keys without an object graph, and those of their momentum.
fn check_paths_alone(file: &str, keys: &Value, report: &mut CaseReport) {
    let expected: BTreeMap<&str, &str> = texts(keys).collect();
    let slots: Vec<String> = expected
        .values()
        .filter_map(|key| Some(format!("{}{SLOT}", key.strip_suffix(ATTRIBUTE)?)))
        .collect();
    let keys = expected
        .values()
        .copied()
        .chain(slots.iter().map(String::as_str));
    let names = canonical_names(keys.map(|key| (key, None)));
    report.require(
        &format!("{file}: paths alone"),
        same(&names.weights, &expected),
    );
    let of_slots: BTreeMap<&str, &str> = names
        .slots
        .iter()
        .filter(|((_, slot), _)| slot == "momentum")
        .filter_map(|((canonical, _), key)| Some((canonical.as_str(), key.strip_suffix(SLOT)?)))
        .collect();
    let without_suffix: BTreeMap<&str, &str> = expected
        .iter()
        .filter_map(|(canonical, key)| Some((*canonical, key.strip_suffix(ATTRIBUTE)?)))
        .collect();
    report.require(
        &format!("{file}: momentum by path"),
        of_slots == without_suffix,
    );
}

fn same(found: &BTreeMap<String, String>, expected: &BTreeMap<&str, &str>) -> bool {
    let found = found
        .iter()
        .map(|(name, key)| (name.as_str(), key.as_str()));
    found.eq(expected.iter().map(|(name, key)| (*name, *key)))
}

/// Raises the numbers of convolutions and batch norms by a hundred, as a program would that
/// has built other networks before.
fn renumber(full_name: &str) -> String {
    let raise = |segment: &str| {
        for stem in ["sync_batch_normalization", "batch_normalization", "conv2d"] {
            let Some(rest) = segment.strip_prefix(stem) else {
                continue;
            };
            let number = match rest.strip_prefix('_') {
                None if rest.is_empty() => Some(0),
                digits => digits.and_then(|digits| digits.parse::<u64>().ok()),
            };
            if let Some(number) = number {
                return format!("{stem}_{}", number + 100);
            }
        }
        segment.to_owned()
    };
    let segments: Vec<String> = full_name.split('/').map(raise).collect();
    segments.join("/")
}
