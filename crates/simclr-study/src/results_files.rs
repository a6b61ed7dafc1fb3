//! A study's figures for other programs: CSV and JSON.

use std::path::Path;

use serde::Serialize;

use super::cell_result::Found;
use super::{Cell, Comparison, Measure, PairedRow, Protocol};
use crate::Result;
use simclr_eval::analysis::Summary;
use simclr_files::write_json;
use simclr_report::{Cell as TableCell, Table};

/// `results.json`.
#[derive(Serialize)]
struct Document<'a> {
    protocol: &'a Protocol,
    arms: Vec<ArmSummary>,
    paired: Vec<PairedRow>,
    cells: Vec<CellFigures<'a>>,
}

/// An arm at one label fraction, over folds and seeds.
#[derive(Serialize)]
struct ArmSummary {
    arm: String,
    label_fraction: f64,
    classifier: Measure,
    accuracy: Summary,
}

/// One classifier in one cell.
#[derive(Serialize)]
struct CellFigures<'a> {
    #[serde(flatten)]
    cell: &'a Cell,
    train_images: usize,
    classifier: Measure,
    test_images: u64,
    accuracy: f64,
    weighted_f1: f64,
    macro_f1: f64,
    /// Means over batches of 64, as the paper's scripts report them.
    paper_compatible_accuracy: f64,
    paper_compatible_weighted_f1: f64,
}

/// Writes `results.json`, `results.csv` and `epochs.csv` into `dir`.
pub(super) fn write(dir: &Path, protocol: &Protocol, comparison: &Comparison) -> Result<()> {
    let cells = figures(comparison);
    let table = results_table(&cells);
    table.save_csv(&dir.join("results.csv"))?;
    let epochs = epochs_table(comparison);
    epochs.save_csv(&dir.join("epochs.csv"))?;
    let document = Document {
        protocol,
        arms: summaries(comparison)?,
        paired: comparison.pairs()?,
        cells,
    };
    Ok(write_json(&dir.join("results.json"), &document)?)
}

fn summaries(comparison: &Comparison) -> Result<Vec<ArmSummary>> {
    let mut summaries = Vec::new();
    for arm in comparison.arms() {
        let Some((_, outcome)) = arm.cells.first() else {
            continue;
        };
        for label_fraction in comparison.label_fractions() {
            summaries.push(ArmSummary {
                arm: arm.name.clone(),
                label_fraction,
                classifier: outcome.headline(),
                accuracy: comparison.accuracy(&arm.name, label_fraction)?,
            });
        }
    }
    Ok(summaries)
}

fn figures(comparison: &Comparison) -> Vec<CellFigures<'_>> {
    let cells = comparison.arms().iter().flat_map(|arm| &arm.cells);
    let of_cell = |(cell, outcome)| {
        let (cell, outcome): (&Cell, &super::Outcome) = (cell, outcome);
        Measure::ALL.into_iter().filter_map(move |classifier| {
            let report = outcome.report(classifier)?;
            Some(CellFigures {
                cell,
                train_images: outcome.train_images,
                classifier,
                test_images: report.samples,
                accuracy: report.accuracy,
                weighted_f1: report.weighted_f1,
                macro_f1: report.macro_f1,
                paper_compatible_accuracy: report.paper_compatible.accuracy,
                paper_compatible_weighted_f1: report.paper_compatible.weighted_f1,
            })
        })
    };
    cells
        .map(|(cell, outcome)| (cell, outcome))
        .flat_map(of_cell)
        .collect()
}

fn results_table(cells: &[CellFigures<'_>]) -> Table {
    let columns = [
        "arm",
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
    ];
    cells.iter().fold(
        Table::new("results", "").columns(columns),
        |table, figures| {
            let mut row = place(figures.cell).to_vec();
            row.extend([
                figures.train_images.into(),
                figures.classifier.name().into(),
                figures.test_images.into(),
                figures.accuracy.into(),
                figures.weighted_f1.into(),
                figures.macro_f1.into(),
                figures.paper_compatible_accuracy.into(),
                figures.paper_compatible_weighted_f1.into(),
            ]);
            table.row(row)
        },
    )
}

/// The linear probes epoch by epoch. The columns without a suffix are those of the paper's
/// scripts, means over batches; `_whole_set` are the figures of the whole set.
fn epochs_table(comparison: &Comparison) -> Table {
    let columns = [
        "arm",
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
    ];
    let mut table = Table::new("epochs", "").columns(columns);
    for (cell, outcome) in comparison.arms().iter().flat_map(|arm| &arm.cells) {
        let Found::Probes(found) = &outcome.found else {
            continue;
        };
        for epoch in &found.linear.epochs {
            let (validation, test) = (&epoch.validation, &epoch.test);
            let mut row = place(cell).to_vec();
            row.push(epoch.epoch.into());
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

fn place(cell: &Cell) -> [TableCell; 4] {
    [
        cell.arm.as_str().into(),
        cell.seed.into(),
        (cell.fold + 1).into(),
        cell.label_fraction.into(),
    ]
}
