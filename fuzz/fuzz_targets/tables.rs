//! Any bytes as a file that a person writes or another program exports: a class map, a table of
//! images, depths, intervals, tiles or predictions, or labels in one of their formats. The first
//! byte chooses which.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use simclr_data::{ClassMap, ImageTable};
use simclr_drillcore::{ColumnMap, DepthTable, IntervalTable, Predictions, read_tiles};
use simclr_labels::{LabelFormat, read_labels};
use tempfile::TempDir;

static FOLDER: LazyLock<Option<TempDir>> = LazyLock::new(|| tempfile::tempdir().ok());

fuzz_target!(|input: &[u8]| {
    let (Some(folder), Some((kind, text))) = (FOLDER.as_ref(), input.split_first()) else {
        return;
    };
    let path = folder.path().join("table");
    if std::fs::write(&path, text).is_err() {
        return;
    }
    let columns = ColumnMap::default();
    match kind % 9 {
        0 => drop(ClassMap::from_file(&path)),
        1 => drop(ImageTable::read(&path)),
        2 => drop(DepthTable::read(&path, &columns)),
        3 => drop(IntervalTable::read(&path, &columns)),
        4 => drop(read_tiles(&path)),
        5 => drop(Predictions::read(&path)),
        6 => drop(read_labels(&path, LabelFormat::Csv)),
        7 => drop(read_labels(&path, LabelFormat::LabelStudio)),
        _ => drop(read_labels(&path, LabelFormat::Coco)),
    }
});
