//! Tables of the names that the second version of the original gives its variables.

use std::collections::BTreeMap;

use serde_json::Value;
use simclr_checkpoint::canonical_names;

use super::expected::texts;
use crate::CaseChecks;

/// What follows the path of a variable in the key of its values.
const ATTRIBUTE: &str = "/.ATTRIBUTES/VARIABLE_VALUE";
const SLOT: &str = "/.OPTIMIZER_SLOT/optimizer/Momentum/.ATTRIBUTES/VARIABLE_VALUE";

pub(super) fn check(checks: &mut CaseChecks<'_>, file: &str, table: &Value) {
    let mut require = |what: &str, holds: bool| {
        let name = format!("{file}: {what}");
        checks.report.require(&name, holds);
    };
    for (form, others) in [
        ("object_key", "other_keys"),
        ("saved_model_key", "saved_model_other_keys"),
    ] {
        let expected = texts(&table[format!("canonical_to_{form}")]);
        let full_names = texts(&table[format!("{form}_to_full_name")]);
        let count = expected.len();
        check_form(&expected, &full_names, &table[others], |what, holds| {
            require(&format!("{what} ({count} keys)"), holds);
        });
    }
    check_paths_alone(&texts(&table["canonical_to_object_key"]), require);
}

/// Keys with their full names, as an object graph has them.
fn check_form(
    expected: &BTreeMap<String, String>,
    full_names: &BTreeMap<String, String>,
    others: &Value,
    mut require: impl FnMut(&str, bool),
) {
    let mut others: Vec<&String> = others
        .as_object()
        .into_iter()
        .flat_map(|o| o.keys())
        .collect();
    let full_name = |key: &String| full_names.get(key).map(String::as_str);
    let all = expected.values().chain(others.iter().copied());
    let names = canonical_names(all.map(|key| (key.as_str(), full_name(key))));
    let same = !expected.is_empty() && names.weights == *expected;
    require("variables", same);
    let mut unmapped: Vec<&String> = names.others.iter().collect();
    unmapped.sort_unstable();
    others.sort_unstable();
    require("everything else", unmapped == others);
    require("no conflicts", names.conflicts.is_empty());

    // The same program later: all counters stand higher.
    let moved = |key: &String| full_names.get(key).map(|name| renumber(name));
    let all: Vec<_> = expected.values().map(|key| (key, moved(key))).collect();
    let names = canonical_names(
        all.iter()
            .map(|(key, name)| (key.as_str(), name.as_deref())),
    );
    require("counters from elsewhere", names.weights == *expected);
}

/// Keys without an object graph, and those of their momentum.
fn check_paths_alone(expected: &BTreeMap<String, String>, mut require: impl FnMut(&str, bool)) {
    let path = |key: &String| Some(key.strip_suffix(ATTRIBUTE)?.to_owned());
    let slot = |key: &String| Some(format!("{}{SLOT}", path(key)?));
    let slots: Vec<String> = expected.values().filter_map(slot).collect();
    let keys = expected.values().chain(&slots);
    let names = canonical_names(keys.map(|key| (key.as_str(), None)));
    require("paths alone", names.weights == *expected);
    let momentum = names
        .slots
        .iter()
        .filter(|((_, slot), _)| slot == "momentum");
    let of_slots = momentum
        .filter_map(|((canonical, _), key)| Some((canonical, key.strip_suffix(SLOT)?.to_owned())));
    let paths = expected.iter();
    let paths = paths.filter_map(|(canonical, key)| Some((canonical, path(key)?)));
    let same = of_slots.collect::<BTreeMap<_, _>>() == paths.collect();
    require("momentum by path", same);
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
