//! A study's results for other programs: CSV and JSON.

use std::path::Path;

use serde::Serialize;
use simclr_data::Seed;
use simclr_eval::analysis::Summary;
use simclr_files::write_json;
use simclr_report::{Cell as TableCell, Table};

use crate::cell_result::{ClassifierKind, Evaluation};
use crate::comparison::{Comparison, PairedDifference};
use crate::error::Result;
use crate::files;
use crate::protocol::Protocol;

/// `results.json`.
#[derive(Serialize)]
struct Document<'a> {
    protocol: &'a Protocol,
    methods: Vec<MethodSummary>,
    paired: Vec<PairedDifference>,
    cells: Vec<ClassifierResult<'a>>,
}

/// A method at one label fraction, over folds and seeds.
#[derive(Serialize)]
struct MethodSummary {
    method: String,
    label_fraction: f64,
    classifier: ClassifierKind,
    accuracy: Summary,
}

/// One classifier in one cell.
#[derive(Serialize)]
struct ClassifierResult<'a> {
    method: &'a str,
    seed: Seed,
    /// Counted from 1, as in the tables.
    fold: usize,
    label_fraction: f64,
    train_images: usize,
    classifier: ClassifierKind,
    test_images: u64,
    accuracy: f64,
    weighted_f1: f64,
    macro_f1: f64,
    /// Means over batches of 64, as the paper's scripts report them.
    paper_compatible_accuracy: f64,
    paper_compatible_weighted_f1: f64,
}

/// Writes `results.json`, `results.csv` and `epochs.csv` into `dir`.
pub(crate) fn write(dir: &Path, protocol: &Protocol, comparison: &Comparison) -> Result<()> {
    let cells = classifier_results(comparison);
    results_table(&cells).save_csv(&dir.join(files::RESULTS_TABLE))?;
    epochs_table(comparison).save_csv(&dir.join(files::EPOCHS))?;
    let document = Document {
        protocol,
        methods: summaries(comparison)?,
        paired: comparison.pairs()?,
        cells,
    };
    Ok(write_json(&dir.join(files::RESULTS), &document)?)
}

fn summaries(comparison: &Comparison) -> Result<Vec<MethodSummary>> {
    let mut summaries = Vec::new();
    for method in comparison.methods() {
        let Some((_, result)) = method.cells.first() else {
            continue;
        };
        for label_fraction in comparison.label_fractions() {
            summaries.push(MethodSummary {
                method: method.name.clone(),
                label_fraction,
                classifier: result.primary(),
                accuracy: comparison.accuracy(&method.name, label_fraction)?,
            });
        }
    }
    Ok(summaries)
}

fn classifier_results(comparison: &Comparison) -> Vec<ClassifierResult<'_>> {
    let mut results = Vec::new();
    for (cell, result) in comparison.cells() {
        for classifier in ClassifierKind::ALL {
            let Some(report) = result.report(classifier) else {
                continue;
            };
            results.push(ClassifierResult {
                method: &cell.method,
                seed: cell.seed,
                fold: cell.fold + 1,
                label_fraction: cell.label_fraction,
                train_images: result.train_images,
                classifier,
                test_images: report.samples,
                accuracy: report.accuracy,
                weighted_f1: report.weighted_f1,
                macro_f1: report.macro_f1,
                paper_compatible_accuracy: report.paper_compatible.accuracy,
                paper_compatible_weighted_f1: report.paper_compatible.weighted_f1,
            });
        }
    }
    results
}

fn results_table(results: &[ClassifierResult<'_>]) -> Table {
    let mut table = Table::new("results", "").columns([
        "method",
        "seed",
        "fold",
        "label_fraction",
        "train_images",
        "classifier",
        "test_images",
        "accuracy",
        "f1_weighted",
        "f1_macro",
        "accuracy_batch_mean",
        "f1_weighted_batch_mean",
    ]);
    for result in results {
        let mut row = vec![
            result.method.into(),
            result.seed.0.into(),
            result.fold.into(),
            result.label_fraction.into(),
        ];
        row.extend([
            result.train_images.into(),
            result.classifier.name().into(),
            result.test_images.into(),
            result.accuracy.into(),
            result.weighted_f1.into(),
            result.macro_f1.into(),
            result.paper_compatible_accuracy.into(),
            result.paper_compatible_weighted_f1.into(),
        ]);
        table = table.row(row);
    }
    table
}

/// The linear probes epoch by epoch. The columns without a suffix are those of the paper's
/// scripts, means over batches; `_whole_set` are the figures of the whole set.
fn epochs_table(comparison: &Comparison) -> Table {
    let mut table = Table::new("epochs", "").columns([
        "method",
        "seed",
        "fold",
        "label_fraction",
        "epoch",
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
        "val_f1_weighted",
        "test_accuracy",
        "test_f1_weighted",
        "val_loss_whole_set",
        "val_accuracy_whole_set",
        "val_f1_weighted_whole_set",
        "test_accuracy_whole_set",
        "test_f1_weighted_whole_set",
    ]);
    for (cell, result) in comparison.cells() {
        let Evaluation::Probes(probes) = &result.evaluation else {
            continue;
        };
        for epoch in &probes.linear.epochs {
            let (validation, test) = (&epoch.validation, &epoch.test);
            let mut row = vec![
                cell.method.as_str().into(),
                cell.seed.0.into(),
                (cell.fold + 1).into(),
                cell.label_fraction.into(),
                epoch.epoch.into(),
            ];
            let figures = [
                epoch.train_loss,
                epoch.train_accuracy,
                validation.batch_mean_loss,
                validation.paper_compatible.accuracy,
                validation.paper_compatible.weighted_f1,
                test.paper_compatible.accuracy,
                test.paper_compatible.weighted_f1,
                validation.loss,
                validation.accuracy,
                validation.weighted_f1,
                test.accuracy,
                test.weighted_f1,
            ];
            row.extend(figures.map(TableCell::from));
            table = table.row(row);
        }
    }
    table
}
