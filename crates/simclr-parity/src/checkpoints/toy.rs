//! Small bundles of many types, and damaged ones.

use std::path::Path;

use serde_json::Value;
use simclr_checkpoint::Values;
use simclr_checkpoint::tensorflow::Bundle;
use simclr_testkit::GoldenCase;

use super::{shape, unsupported};
use crate::{CaseReport, Result};

pub(super) fn check(case: &GoldenCase, report: &mut CaseReport) -> Result<()> {
    let params = case.params().as_object();
    for (folder, variables) in params.into_iter().flatten() {
        let path = case.directory.join(folder);
        if folder.starts_with("good") && path.is_dir() {
            check_good(folder, &path, variables, report)?;
        }
    }
    let bad = case.directory.join("bad");
    let entries = std::fs::read_dir(&bad).map_err(|error| unsupported(case, error.to_string()))?;
    for entry in entries {
        let path = entry
            .map_err(|error| unsupported(case, error.to_string()))?
            .path();
        check_bad(&path, report);
    }
    Ok(())
}

fn check_good(folder: &str, path: &Path, variables: &Value, report: &mut CaseReport) -> Result<()> {
    let bundle = Bundle::open(path)?;
    bundle.verify()?;
    let expected = variables.as_object().into_iter().flatten();
    let names: Vec<&String> = expected.clone().map(|(name, _)| name).collect();
    let all_there = bundle.variables().count() == names.len()
        && names.iter().all(|name| bundle.get(name).is_some());
    report.require(&format!("{folder}: the same names"), all_there);
    for (name, entry) in expected {
        let array = bundle.read(name)?;
        let label = format!("{folder}: {name}");
        let same_type = type_name(&array.values) == entry["dtype"].as_str();
        report.require(&format!("{label}: type"), same_type);
        let same_shape = Some(array.shape) == shape(&entry["shape"]);
        report.require(&format!("{label}: shape"), same_shape);
        report.require(
            &format!("{label}: values"),
            same(&array.values, &entry["values"]),
        );
    }
    Ok(())
}

/// numpy's name of the type.
pub(super) fn type_name(values: &Values) -> Option<&'static str> {
    Some(match values {
        Values::F32(_) => "float32",
        Values::F64(_) => "float64",
        Values::F16(_) => "float16",
        Values::BF16(_) => "bfloat16",
        Values::I8(_) => "int8",
        Values::I16(_) => "int16",
        Values::I32(_) => "int32",
        Values::I64(_) => "int64",
        Values::U8(_) => "uint8",
        Values::U16(_) => "uint16",
        Values::U32(_) => "uint32",
        Values::U64(_) => "uint64",
        Values::Bool(_) => "bool",
        _ => return None,
    })
}

/// Whether all values are the listed ones, exactly, up to the last digit that the JSON reader
/// may lose in a double.
fn same(values: &Values, listed: &Value) -> bool {
    let listed = listed.as_array().map(Vec::as_slice).unwrap_or_default();
    if values.len() != listed.len() {
        return false;
    }
    // Large integers have no exact double.
    if let Values::I64(values) = values {
        let integers = listed.iter().map(Value::as_i64);
        return values.iter().map(|&value| Some(value)).eq(integers);
    }
    let double = matches!(values, Values::F64(_));
    let close = |value: f64, listed: f64| match double {
        true => (value - listed).abs() <= f64::EPSILON * listed.abs(),
        false => value as f32 == listed as f32,
    };
    let pairs = values.to_f64().into_iter().zip(listed);
    pairs
        .into_iter()
        .all(|(value, listed)| listed.as_f64().is_some_and(|l| close(value, l)))
}

/// Damage must be found, and the message must name a file of the damaged bundle.
fn check_bad(path: &Path, report: &mut CaseReport) {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let outcome = Bundle::open(path).and_then(|bundle| bundle.verify());
    let folder = path.display().to_string();
    let named = outcome.is_err_and(|error| error.to_string().contains(&folder));
    report.require(&format!("bad/{name}: rejected by name"), named);
}
