//! Reading what a classifier said about tiles.

use std::collections::BTreeMap;
use std::path::Path;

use csv::StringRecord;
use simclr_csv::NumberParser;
use simclr_files::{describe_forms, normalized_name};

use crate::error::{Error, Result};
use crate::table::{TableText, few, file_name};
use crate::tiles::{Tile, holes};

/// Columns of probabilities begin with this, and the class's name follows.
const PROBABILITY: &str = "p_";
/// Probabilities may miss a sum of 1 by so much.
const ROUNDING: f64 = 0.02;

/// The class probabilities of images: a table with a column `image` and a column `p_CLASS` per class.
///
/// Where it has a column `class` too, a row in which that is empty has a class that was withheld, for
/// the classifier was not sure enough: the log takes nothing from it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Predictions {
    /// The classes.
    pub classes: Vec<String>,
    /// By normalized file name without folders: the name of a tile carries its section.
    rows: BTreeMap<String, Row>,
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    /// The image as the table writes it.
    image: String,
    probabilities: Vec<f64>,
    /// Whether its class was withheld.
    withheld: bool,
}

/// Where a table of predictions has what.
struct Columns<'h> {
    image: usize,
    class: Option<usize>,
    /// The columns of probabilities with their headers.
    probabilities: Vec<(usize, &'h str)>,
}

impl<'h> Columns<'h> {
    fn find(headers: &'h StringRecord) -> Option<Self> {
        let place = |name| headers.iter().position(|header| header == name);
        let image = place("image")?;
        let columns = headers.iter().enumerate();
        let probabilities: Vec<_> = columns
            .filter(|(_, header)| header.starts_with(PROBABILITY))
            .collect();
        (!probabilities.is_empty()).then_some(Self {
            image,
            class: place("class"),
            probabilities,
        })
    }

    fn classes(&self) -> Vec<String> {
        let headers = self.probabilities.iter().map(|(_, header)| header);
        headers
            .map(|header| {
                header
                    .strip_prefix(PROBABILITY)
                    .unwrap_or(header)
                    .to_owned()
            })
            .collect()
    }

    fn row(&self, record: &StringRecord, numbers: &NumberParser) -> Result<Row, String> {
        let cell = |column| record.get(column).unwrap_or_default();
        Ok(Row {
            image: cell(self.image).to_owned(),
            probabilities: self.probabilities(record, numbers)?,
            withheld: self
                .class
                .is_some_and(|column| cell(column).trim().is_empty()),
        })
    }

    /// The probabilities in a row, which have a sum of 1.
    fn probabilities(
        &self,
        record: &StringRecord,
        numbers: &NumberParser,
    ) -> Result<Vec<f64>, String> {
        let share = |&(column, header): &(usize, &str)| {
            let cell = record.get(column).unwrap_or_default();
            let number = numbers.parse(cell);
            let number =
                number.map_err(|expected| format!("`{header}` is `{cell}`; {expected}"))?;
            if (0.0..=1.0).contains(&number) {
                return Ok(number);
            }
            let expected = "expected a probability between 0 and 1";
            Err(format!("`{header}` is `{cell}`; {expected}"))
        };
        let row = self.probabilities.iter().map(share);
        let row = row.collect::<Result<Vec<f64>, String>>()?;
        let sum: f64 = row.iter().sum();
        if (sum - 1.0).abs() <= ROUNDING {
            return Ok(row);
        }
        Err(format!(
            "the probabilities of the classes have the sum {sum:.3}; expected 1"
        ))
    }
}

/// A tile with a depth and what it was taken for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TilePrediction {
    /// Depth of its top in metres.
    pub top: f64,
    /// Depth of its bottom in metres.
    pub bottom: f64,
    /// A probability per class.
    pub probabilities: Vec<f64>,
}

impl TilePrediction {
    /// A tile from `top` to `bottom`, in metres, with a probability per class.
    pub fn new(top: f64, bottom: f64, probabilities: Vec<f64>) -> Self {
        Self {
            top,
            bottom,
            probabilities,
        }
    }
}

impl Predictions {
    /// Reads a table of predictions: as it was written, or as a spreadsheet saved it again.
    ///
    /// # Errors
    /// [`Error::Table`] if it is empty, lacks columns, a row has no probabilities, or two rows are
    /// about images of one name.
    pub fn read(path: &Path) -> Result<Self> {
        let text = TableText::read(path)?;
        let mut reader = text.reader();
        let failed = |error| text.failed(error);
        let headers = reader.headers().map_err(failed)?.clone();
        let columns = Columns::find(&headers).ok_or_else(|| {
            let reason = "expected predictions with columns `image` and `p_CLASS` for each class";
            Error::table(path, text.line(headers.position()), reason)
        })?;
        let numbers = text.numbers();
        let mut predictions = Self {
            classes: columns.classes(),
            rows: BTreeMap::new(),
        };
        for record in reader.records() {
            let record = record.map_err(failed)?;
            // Spreadsheets leave such rows at the end.
            if record.iter().all(str::is_empty) {
                continue;
            }
            let row = columns.row(&record, &numbers);
            let added = row.and_then(|row| predictions.add(row));
            added.map_err(|reason| Error::table(path, text.line(record.position()), reason))?;
        }
        if predictions.rows.is_empty() {
            let reason = "there are no predictions in the table";
            return Err(Error::table(path, None, reason));
        }
        Ok(predictions)
    }

    fn add(&mut self, row: Row) -> Result<(), String> {
        let name = file_name(&row.image).to_owned();
        let key = normalized_name(&name).into_owned();
        let image = row.image.clone();
        match self.rows.insert(key, row) {
            None => Ok(()),
            Some(before) if file_name(&before.image) == name => {
                Err(format!("{image} is there twice"))
            }
            Some(before) => Err(describe_forms(file_name(&before.image), &name)),
        }
    }

    fn of_tile(&self, tile: &Tile) -> Option<&Row> {
        self.rows.get(&*normalized_name(file_name(&tile.tile)))
    }

    /// How many of the tiles have a class that was withheld.
    pub fn withheld(&self, tiles: &[Tile]) -> usize {
        let rows = tiles.iter().filter_map(|tile| self.of_tile(tile));
        rows.filter(|row| row.withheld).count()
    }

    /// What the tiles were taken for, with their depths, from the top. Tiles without a prediction, and
    /// those whose class was withheld, are passed over: their number is returned too.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if no tile has a prediction, or one with a prediction has no depth, or those
    /// with predictions are of several holes: [`tiles_of_hole`](crate::tiles_of_hole) takes one's.
    pub fn of_tiles(&self, tiles: &[Tile]) -> Result<(Vec<TilePrediction>, usize)> {
        let named = |tile: &&Tile| self.of_tile(tile).is_some();
        let holes = holes(tiles.iter().filter(named));
        if holes.len() > 1 {
            let reason = format!(
                "those with predictions are of several holes, whose depths are not the same: {}; \
                 choose one with --hole",
                few(holes)
            );
            return Err(Error::mismatch("tiles", reason));
        }
        let mut predicted = Vec::new();
        for tile in tiles {
            let Some(row) = self.of_tile(tile).filter(|row| !row.withheld) else {
                continue;
            };
            let (Some(top), Some(bottom)) = (tile.top_depth_m, tile.bottom_depth_m) else {
                let reason = "the tile has no depth: cut the sections with a table of depths";
                return Err(Error::mismatch(&tile.tile, reason));
            };
            if bottom <= top {
                let reason = format!("the tile ends at {bottom} m, not below its top at {top} m");
                return Err(Error::mismatch(&tile.tile, reason));
            }
            let probabilities = row.probabilities.clone();
            predicted.push(TilePrediction::new(top, bottom, probabilities));
        }
        if predicted.is_empty() {
            let (all, withheld) = (tiles.len(), self.withheld(tiles));
            let reason = match withheld {
                0 => format!("none of {all} has a prediction under its file's name"),
                _ => format!("none of {all} has a class; of {withheld} it was withheld"),
            };
            return Err(Error::mismatch("tiles", reason));
        }
        predicted.sort_by(|a, b| a.top.total_cmp(&b.top));
        let without = tiles.len() - predicted.len();
        Ok((predicted, without))
    }
}
