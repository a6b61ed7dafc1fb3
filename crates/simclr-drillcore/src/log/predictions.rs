//! Reading what a classifier said about tiles.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::table::{TableText, few, file_name};
use crate::tiles::{Tile, holes};

/// Columns of probabilities begin with this, and the class's name follows.
const PROBABILITY: &str = "p_";
/// Probabilities may miss a sum of 1 by so much.
const ROUNDING: f64 = 0.02;

/// The class probabilities of images: a table with a column `image` and a column `p_CLASS` per class.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Predictions {
    /// The classes.
    pub classes: Vec<String>,
    /// By file name without folders: the name of a tile carries its section.
    probabilities: BTreeMap<String, Vec<f64>>,
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
    /// Reads a table of predictions.
    ///
    /// # Errors
    /// [`Error::Table`] if it is empty, lacks columns, or a row has no probabilities.
    pub fn read(path: &Path) -> Result<Self> {
        let text = TableText::read(path)?;
        let mut reader = csv::Reader::from_reader(text.body());
        let failed = |error| text.failed(error);
        let headers = reader.headers().map_err(failed)?.clone();
        let image = headers.iter().position(|header| header == "image");
        let of_class = |header: &'_ str| header.strip_prefix(PROBABILITY).map(str::to_owned);
        let columns = headers.iter().enumerate();
        let (places, classes): (Vec<usize>, Vec<String>) = columns
            .filter_map(|(place, header)| Some((place, of_class(header)?)))
            .unzip();
        let (Some(image), false) = (image, classes.is_empty()) else {
            let reason = "expected predictions with columns `image` and `p_CLASS` for each class";
            return Err(Error::table(path, 1, reason));
        };
        let mut probabilities = BTreeMap::new();
        for record in reader.records() {
            let record = record.map_err(failed)?;
            let line = text.line(record.position());
            let cell = |place: usize| record.get(place).unwrap_or_default();
            let row: Option<Vec<f64>> = places
                .iter()
                .map(|&place| cell(place).parse().ok())
                .collect();
            let sum: f64 = row.iter().flatten().sum();
            let row = row.filter(|row| {
                row.iter().all(|share| (0.0..=1.0).contains(share)) && (sum - 1.0).abs() <= ROUNDING
            });
            let row = row.ok_or_else(|| {
                let reason = "the probabilities are not numbers between 0 and 1 with a sum of 1";
                Error::table(path, line, reason)
            })?;
            let name = file_name(cell(image)).to_owned();
            if probabilities.insert(name, row).is_some() {
                let reason = format!("{} is there twice", cell(image));
                return Err(Error::table(path, line, reason));
            }
        }
        if probabilities.is_empty() {
            return Err(Error::table(
                path,
                None,
                "there are no predictions in the table",
            ));
        }
        Ok(Self {
            classes,
            probabilities,
        })
    }

    /// What the tiles were taken for, with their depths, from the top. Tiles without a prediction are
    /// passed over: their number is returned too.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if no tile has a prediction, or one with a prediction has no depth, or those
    /// with predictions are of several holes: [`tiles_of_hole`](crate::tiles_of_hole) takes one's.
    pub fn of_tiles(&self, tiles: &[Tile]) -> Result<(Vec<TilePrediction>, usize)> {
        let named = |tile: &&Tile| self.probabilities.contains_key(file_name(&tile.tile));
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
            let Some(probabilities) = self.probabilities.get(file_name(&tile.tile)) else {
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
            predicted.push(TilePrediction::new(top, bottom, probabilities.clone()));
        }
        if predicted.is_empty() {
            let reason = format!(
                "none of {} has a prediction under its file's name",
                tiles.len()
            );
            return Err(Error::mismatch("tiles", reason));
        }
        predicted.sort_by(|a, b| a.top.total_cmp(&b.top));
        let without = tiles.len() - predicted.len();
        Ok((predicted, without))
    }
}
