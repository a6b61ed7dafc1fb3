//! Small bundles of many types, and damaged ones.

use std::path::Path;

use serde_json::Value;
use simclr_checkpoint::Values;
use simclr_checkpoint::tensorflow::{Bundle, DataType};

use super::expected::require_form;
use crate::{CaseChecks, CaseReport, Result};

pub(super) fn check(checks: &mut CaseChecks<'_>) -> Result<()> {
    let (case, report) = (checks.case, &mut checks.report);
    let params = case.params().as_object();
    for (folder, variables) in params.into_iter().flatten() {
        let path = case.directory.join(folder);
        if folder.starts_with("good") && path.is_dir() {
            check_good(folder, &path, variables, report)?;
        }
    }
    let unreadable = |error: std::io::Error| case.error(error.to_string());
    for entry in std::fs::read_dir(case.directory.join("bad")).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        check_bad(case.text("prefix")?, &path, report);
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
        let label = format!("{folder}: {name}");
        let variable = bundle.get(name);
        if variable.is_some_and(|variable| variable.data_type() == DataType::String) {
            let found = bundle.read_strings(name)?;
            let values = entry["values"].as_array().into_iter().flatten();
            let same = values.map(|value| value.as_str().map(str::as_bytes));
            let same = same.eq(found.iter().map(|text| Some(text.as_slice())));
            report.require(&format!("{label}: strings"), same);
            continue;
        }
        let array = bundle.read(name)?;
        require_form(report, &label, &array, entry);
        let same = same(&array.values, &entry["values"]);
        report.require(&format!("{label}: values"), same);
    }
    Ok(())
}

/// Whether all values are the listed ones, exactly.
fn same(values: &Values, listed: &Value) -> bool {
    let listed = listed.as_array().map(Vec::as_slice).unwrap_or_default();
    // Large integers have no exact double.
    if let Values::I64(values) = values {
        let integers = listed.iter().map(Value::as_i64);
        return values.iter().map(|&value| Some(value)).eq(integers);
    }
    let numbers = listed.iter().map(Value::as_f64);
    values.to_f64().into_iter().map(Some).eq(numbers)
}

/// Damage must be found, and the message must name a file of the damaged bundle and then say
/// something about it.
fn check_bad(prefix: &str, path: &Path, report: &mut CaseReport) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let outcome = Bundle::open(path).and_then(|bundle| bundle.verify());
    let file = path.join(prefix).display().to_string();
    let named = outcome.is_err_and(|error| {
        let text = error.to_string();
        let rest = text.strip_prefix(&file);
        let rest = rest.and_then(|rest| rest.split_once(": "));
        rest.is_some_and(|(_, reason)| !reason.is_empty())
    });
    report.require(&format!("bad/{name}: rejected by name"), named);
}
