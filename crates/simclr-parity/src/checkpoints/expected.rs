//! What a case of `checkpoints` expects, as JSON.

use std::collections::BTreeMap;

use serde_json::Value;
use simclr_checkpoint::{Array, ElementType};
use simclr_testkit::GoldenCase;

use crate::{CaseReport, Result};

/// A file of the case.
pub(super) fn read_json(case: &GoldenCase, name: &str) -> Result<Value> {
    let bytes = std::fs::read(case.directory.join(name))
        .map_err(|error| case.error(format!("{name}: {error}")))?;
    let value = serde_json::from_slice(&bytes);
    Ok(value.map_err(|error| case.error(format!("{name}: {error}")))?)
}

/// Whether two values are the same; numbers may be written as integers or not.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    a == b || a.is_number() && a.as_f64() == b.as_f64()
}

/// A list of sizes.
pub(super) fn shape(value: &Value) -> Option<Vec<usize>> {
    let sizes = value.as_array()?.iter();
    sizes
        .map(|size| usize::try_from(size.as_u64()?).ok())
        .collect()
}

/// Pairs of texts.
pub(super) fn texts(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    let text = |(name, text): (&String, &Value)| Some((name.clone(), text.as_str()?.to_owned()));
    entries.filter_map(text).collect()
}

/// Requires that an array has the type and the shape of its entry.
pub(super) fn require_form(report: &mut CaseReport, label: &str, array: &Array, entry: &Value) {
    let same_type = entry["dtype"] == type_name(array.values.element_type());
    report.require(&format!("{label}: type"), same_type);
    let same_shape = Some(&array.shape) == shape(&entry["shape"]).as_ref();
    report.require(&format!("{label}: shape"), same_shape);
}

/// numpy's name of the type.
fn type_name(element: ElementType) -> String {
    let ours = element.to_string();
    let (kind, bits) = ours.split_at(ours.find(char::is_numeric).unwrap_or(ours.len()));
    let kind = match kind {
        "f" => "float",
        "bf" => "bfloat",
        "i" => "int",
        "u" => "uint",
        other => other,
    };
    format!("{kind}{bits}")
}
