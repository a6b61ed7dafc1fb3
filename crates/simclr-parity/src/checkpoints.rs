//! Cases of kind `checkpoints`: files written by TensorFlow, and tables of names.
//!
//! What a case holds tells what is asked of it: archives of checkpoints with the values that
//! must be found in them, hand-made small bundles (good and damaged), tables of object paths,
//! and the variables of the official architectures.

mod archive;
mod expected;
mod manifests;
mod object_paths;
mod toy;
mod weights;

use simclr_testkit::GoldenCase;

use crate::{CaseChecks, Result};
use expected::read_json;

pub use weights::check_weights;

pub(crate) fn check(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    let files = files(case)?;
    let with = |prefix: &str, suffix: &str| {
        let fits = |name: &&String| name.starts_with(prefix) && name.ends_with(suffix);
        files.iter().filter(fits).cloned().collect::<Vec<_>>()
    };
    for archive in with("", ".zip") {
        archive::check(checks, &archive)?;
    }
    for table in with("object_paths", ".json") {
        object_paths::check(checks, &table, &read_json(case, &table)?);
    }
    for manifest in with("variable_manifest", ".json") {
        manifests::check(checks, &manifest, &read_json(case, &manifest)?)?;
    }
    if case.params()["good"].is_object() {
        toy::check(checks)?;
    }
    Ok(())
}

/// The names of the files directly in the case's folder, sorted.
fn files(case: &GoldenCase) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let unreadable = |error: std::io::Error| case.error(error.to_string());
    for entry in std::fs::read_dir(&case.directory).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}
