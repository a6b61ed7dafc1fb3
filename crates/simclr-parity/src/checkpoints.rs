//! Cases of kind `checkpoints`: files written by TensorFlow, and tables of names.
//!
//! What a case holds tells what is asked of it: archives of checkpoints with the values that
//! must be found in them, hand-made small bundles (good and damaged), tables of object paths,
//! and the variables of the official architectures.

mod archive;
mod manifests;
mod object_paths;
mod toy;
mod weights;

use std::path::PathBuf;

use serde_json::Value;
use simclr_testkit::GoldenCase;

use crate::{CaseReport, Error, Result};

pub use weights::check_weights;

pub(crate) fn check(case: &GoldenCase) -> Result<CaseReport> {
    let mut report = CaseReport::default();
    let files = files(case)?;
    let with = |prefix: &str, suffix: &str| {
        let fits = |name: &String| name.starts_with(prefix) && name.ends_with(suffix);
        files
            .iter()
            .filter(|name| fits(name))
            .cloned()
            .collect::<Vec<_>>()
    };
    for archive in with("", ".zip") {
        archive::check(case, &archive, &mut report)?;
    }
    for table in with("object_paths", ".json") {
        object_paths::check(&table, &json(case, &table)?, &mut report)?;
    }
    for manifest in with("variable_manifest", ".json") {
        manifests::check(case, &manifest, &json(case, &manifest)?, &mut report)?;
    }
    if case.params()["good"].is_object() {
        toy::check(case, &mut report)?;
    }
    Ok(report)
}

/// The names of the files directly in the case's folder, sorted.
fn files(case: &GoldenCase) -> Result<Vec<String>> {
    let unreadable = |error: std::io::Error| unsupported(case, error.to_string());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&case.directory).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

fn json(case: &GoldenCase, name: &str) -> Result<Value> {
    let path: PathBuf = case.directory.join(name);
    let bytes = std::fs::read(&path).map_err(|error| unsupported(case, error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| unsupported(case, format!("{name}: {error}")))
}

fn unsupported(case: &GoldenCase, reason: impl Into<String>) -> Error {
    Error::Unsupported {
        case: case.directory.display().to_string(),
        reason: reason.into(),
    }
}

/// A list of sizes.
fn shape(value: &Value) -> Option<Vec<usize>> {
    let sizes = value.as_array()?.iter();
    sizes
        .map(|size| usize::try_from(size.as_u64()?).ok())
        .collect()
}

/// Pairs of texts.
fn texts(value: &Value) -> impl Iterator<Item = (&str, &str)> {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(name, text)| Some((name.as_str(), text.as_str()?)))
}
