//! A study image by image: which part each belongs to, and what it was taken for.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use simclr_data::{Dataset, Seed};
use simclr_eval::metrics::softmax;
use simclr_files::{Durability, write_atomically};

use crate::cell::Cell;
use crate::cell_result::CellResult;
use crate::comparison::Comparison;
use crate::error::{Error, Result};
use crate::files;
use crate::study::Study;

/// The columns of `predictions.csv` before those of the classes.
pub(crate) const PREDICTION_COLUMNS: [&str; 8] = [
    "image",
    "seed",
    "fold",
    "label_fraction",
    "method",
    "classifier",
    "label",
    "prediction",
];

/// Writes `splits.csv` and `predictions.csv` into the study's folder.
pub(crate) fn write(study: &Study, comparison: &Comparison) -> Result<()> {
    let names = names(study.task().labelled().as_ref());
    save(&study.dir().join(files::SPLITS), |rows| {
        splits(study, &names, rows)
    })?;
    save(&study.dir().join(files::PREDICTIONS), |rows| {
        predictions(study, comparison, &names, rows)
    })
}

type Rows<'a> = csv::Writer<&'a mut dyn Write>;

fn save(path: &Path, fill: impl FnOnce(&mut Rows<'_>) -> Result<()>) -> Result<()> {
    write_atomically(path, Durability::Synchronized, |file| {
        let mut rows = csv::Writer::from_writer(file);
        fill(&mut rows)?;
        rows.flush().map_err(Error::io(path))
    })
}

fn names(images: &dyn Dataset) -> Vec<String> {
    (0..images.len()).map(|image| images.name(image)).collect()
}

/// A row per image, seed and fold, with the image's group, if there are any, and the label
/// fractions at which the label of a training image is used. Images without labels are in no
/// fold, and where each fold has a self-supervision of its own they have a row for each.
fn splits(study: &Study, names: &[String], rows: &mut Rows<'_>) -> Result<()> {
    let columns = [
        "image",
        "pool",
        "part",
        "fold",
        "seed",
        "group",
        "labels_used_at",
    ];
    row(rows, columns)?;
    for run in study.seed_runs() {
        let seed = run.seed.0.to_string();
        for (index, fold) in run.numbered_folds() {
            let number = (index + 1).to_string();
            let used_at = labels_used_at(study, run.seed, index)?;
            for (part, images) in [
                ("train", &fold.train),
                ("validation", &fold.validation),
                ("test", &fold.test),
            ] {
                for &image in images {
                    let group = study.task().groups().and_then(|all| all.group_of(image));
                    let group = group.map_or_else(String::new, |group| group.to_string());
                    let used = used_at.get(&image).map_or("", String::as_str);
                    let name = names[image].as_str();
                    row(rows, [name, "labelled", part, &number, &seed, &group, used])?;
                }
            }
        }
        let (Some(images), Some(fold)) = (study.task().extra_unlabelled(), run.folds.first())
        else {
            continue;
        };
        let left_out = study.task().copies_of_test_images(fold);
        for image in 0..images.len() {
            let name = images.name(image);
            let part = if left_out.contains(&image) {
                "copy of a test image"
            } else {
                "self-supervision"
            };
            row(rows, [&name, "unlabelled", part, "", &seed, "", ""])?;
        }
    }
    Ok(())
}

/// The label fractions at which each training image's label is used in a fold.
fn labels_used_at(study: &Study, seed: Seed, fold: usize) -> Result<BTreeMap<usize, String>> {
    let mut used: BTreeMap<usize, String> = BTreeMap::new();
    for &label_fraction in &study.protocol().label_fractions {
        let cell = Cell {
            method: String::new(),
            seed,
            fold,
            label_fraction,
        };
        for image in study.label_budget(&cell)? {
            let fractions = used.entry(image).or_default();
            if !fractions.is_empty() {
                fractions.push(' ');
            }
            *fractions += &label_fraction.to_string();
        }
    }
    Ok(used)
}

/// A row per test image and cell, of the primary classifier: its class, the predicted class and
/// the probability of each.
fn predictions(
    study: &Study,
    comparison: &Comparison,
    names: &[String],
    rows: &mut Rows<'_>,
) -> Result<()> {
    let classes = study.task().labelled().class_names();
    let of_classes = classes.iter().map(String::as_str);
    row(rows, PREDICTION_COLUMNS.into_iter().chain(of_classes))?;
    for (cell, result) in comparison.cells() {
        let (_, fold) = study.resolve(cell)?;
        let test: Vec<&str> = fold
            .test
            .iter()
            .map(|&image| names[image].as_str())
            .collect();
        predictions_of(cell, result, classes, &test, rows)?;
    }
    Ok(())
}

fn predictions_of(
    cell: &Cell,
    result: &CellResult,
    classes: &[String],
    test: &[&str],
    rows: &mut Rows<'_>,
) -> Result<()> {
    let report = result.primary_report();
    let probabilities = softmax(result.primary_scores(), classes.len());
    let (seed, fold) = (cell.seed.0.to_string(), (cell.fold + 1).to_string());
    let fraction = cell.label_fraction.to_string();
    let classifier = result.primary().name();
    let class = |class: u32| classes.get(class as usize).map_or("", String::as_str);
    let images = test.iter().zip(&report.labels).zip(&report.predictions);
    for (((image, &label), &prediction), row_of) in
        images.zip(probabilities.chunks_exact(classes.len().max(1)))
    {
        let first = [
            image,
            seed.as_str(),
            &fold,
            &fraction,
            &cell.method,
            classifier,
            class(label),
            class(prediction),
        ];
        let probabilities: Vec<String> = row_of.iter().map(f64::to_string).collect();
        row(
            rows,
            first
                .into_iter()
                .chain(probabilities.iter().map(String::as_str)),
        )?;
    }
    Ok(())
}

fn row<'a>(rows: &mut Rows<'_>, cells: impl IntoIterator<Item = &'a str>) -> Result<()> {
    rows.write_record(cells)
        .map_err(|error| Error::Foreign(error.into()))
}
