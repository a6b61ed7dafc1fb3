//! A finished study, read from its folder.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use simclr_data::Seed;
use simclr_eval::metrics::ClassificationReport;
use simclr_train::run::RunRecord;

use crate::cell::Cell;
use crate::cell_result::{CellResult, Evaluation, NetworkEvaluation};
use crate::comparison::{CellImages, MethodResults};
use crate::error::{Error, Result};
use crate::files;
use crate::image_tables::PREDICTION_COLUMNS;

/// What a study's `splits.csv`, `predictions.csv` and manifest say.
#[derive(Debug)]
pub(crate) struct RecordedStudy {
    pub(crate) dir: PathBuf,
    pub(crate) title: String,
    pub(crate) classes: Vec<String>,
    /// The digest of the labelled images.
    pub(crate) digest: String,
    pub(crate) splits: Vec<SplitRow>,
    /// The methods in the order of the study, their cells by seed, fold and label fraction.
    pub(crate) methods: Vec<MethodResults>,
}

/// The part of an image in a fold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct SplitRow {
    pub(crate) image: String,
    pool: String,
    pub(crate) part: String,
    pub(crate) fold: Option<usize>,
    pub(crate) seed: u64,
    group: String,
    /// The label fractions at which a training image's label is used.
    labels_used_at: String,
}

/// What a test image was taken for.
#[derive(Debug, Deserialize)]
struct PredictionRow {
    image: String,
    seed: u64,
    fold: usize,
    label_fraction: f64,
    method: String,
    label: String,
    prediction: String,
}

impl RecordedStudy {
    /// Reads a study's folder.
    ///
    /// # Errors
    /// A folder without a finished study; a file that is damaged, or of an earlier version.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let record = RunRecord::read(dir)?;
        let title = record.config["title"].as_str().unwrap_or_default();
        let digest = record.manifest.facts.datasets.get("labelled");
        let path = dir.join(files::PREDICTIONS);
        let (header, predictions) = rows::<PredictionRow>(&path)?;
        let classes = header
            .into_iter()
            .skip(PREDICTION_COLUMNS.len())
            .collect::<Vec<_>>();
        let splits: Vec<SplitRow> = rows(&dir.join(files::SPLITS))?.1;
        Ok(Self {
            dir: dir.to_owned(),
            title: title.to_owned(),
            digest: digest.map_or_else(String::new, |images| images.digest.clone()),
            methods: methods(&path, &classes, &splits, &predictions)?,
            splits,
            classes,
        })
    }

    /// What the study is called where others stand beside it: its folder.
    pub(crate) fn name(&self) -> String {
        self.dir.display().to_string()
    }

    /// The label fractions, largest first.
    pub(crate) fn label_fractions(&self) -> Vec<f64> {
        let cells = self.methods.iter().flat_map(|method| &method.cells);
        let mut fractions: Vec<f64> = cells.map(|(cell, _)| cell.label_fraction).collect();
        fractions.sort_by(|a, b| b.total_cmp(a));
        fractions.dedup();
        fractions
    }

    /// The images of a cell, numbered by their names, and test images by their groups.
    pub(crate) fn cell_images(&self, cell: &Cell) -> CellImages {
        let rows = || rows_of_fold(&self.splits, cell.seed.0, cell.fold + 1);
        // An image without a group is a unit of its own, whatever the groups are called.
        let unit = |row: &SplitRow| match row.group.as_str() {
            "" => (false, row.image.clone()),
            group => (true, group.to_owned()),
        };
        let images = numbered(rows().map(|row| row.image.as_str()));
        let units = numbered(rows().map(unit));
        let fraction = cell.label_fraction.to_string();
        let is_used = |row: &&SplitRow| row.labels_used_at.split(' ').any(|used| used == fraction);
        CellImages {
            train: rows()
                .filter(is_used)
                .map(|row| images[row.image.as_str()])
                .collect(),
            test_units: rows()
                .filter(|row| row.part == "test")
                .map(|row| units[&unit(row)])
                .collect(),
        }
    }
}

/// The rows of a fold, which is counted from 1.
fn rows_of_fold(splits: &[SplitRow], seed: u64, fold: usize) -> impl Iterator<Item = &SplitRow> {
    let is_own = move |row: &&SplitRow| row.seed == seed && row.fold == Some(fold);
    splits.iter().filter(is_own)
}

/// The number of each name in their order.
fn numbered<N: Ord>(names: impl Iterator<Item = N>) -> BTreeMap<N, usize> {
    let names: BTreeSet<N> = names.collect();
    names.into_iter().zip(0..).collect()
}

/// The header and the rows of a CSV file of a study.
fn rows<R: DeserializeOwned>(path: &Path) -> Result<(Vec<String>, Vec<R>)> {
    let wrong = |error: csv::Error| Error::StudyFile {
        path: path.to_owned(),
        reason: format!(
            "{error}; a finished study of this version is expected, whose own command writes the file again"
        ),
    };
    let mut reader = csv::Reader::from_path(path).map_err(wrong)?;
    let header = reader.headers().map_err(wrong)?;
    let header = header.iter().map(str::to_owned).collect();
    let rows = reader.into_deserialize().collect::<Result<_, _>>();
    Ok((header, rows.map_err(wrong)?))
}

fn methods(
    path: &Path,
    classes: &[String],
    splits: &[SplitRow],
    predictions: &[PredictionRow],
) -> Result<Vec<MethodResults>> {
    let class = |name: &String| {
        let index = classes.iter().position(|class| class == name);
        let unknown = || Error::StudyFile {
            path: path.to_owned(),
            reason: format!("\"{name}\" is none of the classes {}", classes.join(", ")),
        };
        index.map(|index| index as u32).ok_or_else(unknown)
    };
    let mut names: Vec<&str> = Vec::new();
    // Fractions are in (0, 1], where their bits are in their order; the largest comes first.
    let mut cells: BTreeMap<(&str, u64, usize, u64), Vec<&PredictionRow>> = BTreeMap::new();
    for row in predictions {
        if !names.contains(&row.method.as_str()) {
            names.push(&row.method);
        }
        let fraction = u64::MAX - row.label_fraction.to_bits();
        let cell = cells.entry((&row.method, row.seed, row.fold, fraction));
        cell.or_default().push(row);
    }
    let method = |name: &&str| {
        let mut results = MethodResults::new(*name);
        let own = cells.iter().filter(|((method, ..), _)| method == name);
        for (&(_, seed, fold, fraction), rows) in own {
            let rows = in_order_of_splits(rows, splits).map_err(|reason| Error::StudyFile {
                path: path.to_owned(),
                reason: format!("\"{name}\", fold {fold} of seed {seed}: {reason}"),
            })?;
            let of = |name: fn(&PredictionRow) -> &String| {
                let classes = rows.iter().map(|row| class(name(row)));
                classes.collect::<Result<Vec<u32>>>()
            };
            let (labels, taken_for) = (of(|row| &row.label)?, of(|row| &row.prediction)?);
            let cell = Cell {
                method: (*name).to_owned(),
                seed: Seed(seed),
                fold: fold.saturating_sub(1),
                label_fraction: f64::from_bits(u64::MAX - fraction),
            };
            results
                .cells
                .push((cell, result(&labels, &taken_for, classes)?));
        }
        Ok(results)
    };
    names.iter().map(method).collect()
}

/// The rows of a cell in the order of its test images in `splits.csv`, or what is wrong with them.
fn in_order_of_splits<'r>(
    rows: &[&'r PredictionRow],
    splits: &[SplitRow],
) -> Result<Vec<&'r PredictionRow>, String> {
    let mut of_image: BTreeMap<&str, VecDeque<&PredictionRow>> = BTreeMap::new();
    for &row in rows {
        of_image.entry(&row.image).or_default().push_back(row);
    }
    let Some(&first) = rows.first() else {
        return Ok(Vec::new());
    };
    let fold = rows_of_fold(splits, first.seed, first.fold);
    let test = fold.filter(|row| row.part == "test").map(|row| &row.image);
    let in_order = test.map(|image| {
        let row = of_image
            .get_mut(image.as_str())
            .and_then(VecDeque::pop_front);
        row.ok_or_else(|| format!("the test image {image} has no row"))
    });
    let in_order = in_order.collect::<Result<Vec<_>, _>>()?;
    match of_image.values().flatten().next() {
        None => Ok(in_order),
        Some(row) => Err(format!(
            "{} has a row too many for what {} says",
            row.image,
            files::SPLITS
        )),
    }
}

/// The result of a cell whose classifier is certain of its predictions: what it was certain of
/// does not count here.
fn result(labels: &[u32], predictions: &[u32], classes: &[String]) -> Result<CellResult> {
    let certain = |&prediction: &u32| {
        let class = move |class: usize| f32::from(u8::from(class == prediction as usize));
        (0..classes.len()).map(class)
    };
    let test_scores: Vec<f32> = predictions.iter().flat_map(certain).collect();
    Ok(CellResult {
        train_images: 0,
        evaluation: Evaluation::Network(Box::new(NetworkEvaluation {
            test: ClassificationReport::new(&test_scores, labels, classes)?,
            test_scores,
        })),
    })
}
