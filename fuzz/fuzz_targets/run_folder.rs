//! Any bytes as a file of a run folder, which is read and becomes a report.
//!
//! The first byte chooses the file; the others are as a run would have written them. JSON gets a
//! right digest, behind which nothing else would come.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use simclr_files::write_json;
use simclr_report::Report;
use simclr_train::PretrainConfig;
use simclr_train::report::TrainingReport;
use simclr_train::run::{Manifest, RunFacts, RunFolder, RunRecord};
use tempfile::TempDir;

static FOLDER: LazyLock<Option<TempDir>> = LazyLock::new(|| tempfile::tempdir().ok());

fuzz_target!(|input: &[u8]| {
    let (Some(folder), Some((file, content))) = (FOLDER.as_ref(), input.split_first()) else {
        return;
    };
    if prepare(folder.path(), file % 5, content).is_none() {
        return;
    }
    if let Ok(record) = RunRecord::read(folder.path()) {
        let report = Report::new("Run", "What was trained?").run(&record);
        let _ = report.map(|report| report.write(folder.path()));
    }
    let config = PretrainConfig::default();
    let _ = RunFolder::open(folder.path(), &config, &RunFacts::default());
});

/// Writes a run folder of which one file has the content.
fn prepare(folder: &Path, file: u8, content: &[u8]) -> Option<()> {
    let metrics = b"step,epoch,total_loss\n1,1,2.5\n2,1,2.25\n";
    let metrics: &[u8] = if file == 0 { content } else { metrics };
    fs::write(folder.join("metrics.csv"), metrics).ok()?;
    let written = [
        ("config.json", serde_json::to_value(PretrainConfig::default()).ok()?),
        ("manifest.json", serde_json::to_value(Manifest::default()).ok()?),
        ("result.json", json!({ "steps": 2 })),
        ("notices.json", json!({ "notices": [] })),
    ];
    for (place, (name, value)) in (1..).zip(written) {
        let given = || serde_json::from_slice::<Map<String, Value>>(content).ok();
        let value = if place == file { given()?.into() } else { value };
        write_json(&folder.join(name), &value).ok()?;
    }
    Some(())
}
