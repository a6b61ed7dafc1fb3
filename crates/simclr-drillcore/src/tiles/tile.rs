//! The table of tiles.

use std::collections::BTreeSet;
use std::path::Path;

use csv::StringRecord;
use serde::{Deserialize, Serialize};
use simclr_csv::NumberParser;
use simclr_files::normalized_name;

use crate::error::{Error, Result};
use crate::table::{TableText, few};

/// A tile and where it is: a row of `tiles.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tile {
    /// The tile's file, relative to the table's folder, with `/`.
    pub tile: String,
    /// The section: the photograph's name without its extension.
    pub section: String,
    /// The hole, if the table of depths names it.
    #[serde(default)]
    pub hole: Option<String>,
    /// Left column of the tile's box in the photograph, in pixels.
    pub left: usize,
    /// Top row of the box.
    pub top: usize,
    /// Width of the box, which holds the whole tile if that is turned.
    pub width: usize,
    /// Height of the box.
    pub height: usize,
    /// The angle in degrees by which the tile is turned.
    pub tilt: f64,
    /// Offset of the tile's top from that of the section in centimetres.
    pub top_offset_cm: Option<f64>,
    /// Offset of its bottom.
    pub bottom_offset_cm: Option<f64>,
    /// Depth of its top in metres.
    pub top_depth_m: Option<f64>,
    /// Depth of its bottom.
    pub bottom_depth_m: Option<f64>,
    /// Its share of core.
    pub core_fraction: f64,
    /// Its class, if enough of it has one.
    pub class: Option<String>,
}

/// The columns of numbers with decimals.
const DECIMALS: [&str; 6] = [
    "tilt",
    "top_offset_cm",
    "bottom_offset_cm",
    "top_depth_m",
    "bottom_depth_m",
    "core_fraction",
];

/// Reads a table of tiles: as it was written, or as a spreadsheet saved it again.
///
/// # Errors
/// [`Error::Table`] if it has other columns, or no tile.
pub fn read_tiles(path: &Path) -> Result<Vec<Tile>> {
    let text = TableText::read(path)?;
    let mut reader = text.reader();
    let failed = |error| text.failed(error);
    let headers = reader.headers().map_err(failed)?.clone();
    let numbers = text.numbers();
    let mut tiles: Vec<Tile> = Vec::new();
    for record in reader.records() {
        let record = record.map_err(failed)?;
        // Spreadsheets leave such rows at the end.
        if record.iter().all(str::is_empty) {
            continue;
        }
        let line = text.line(record.position());
        let record = with_decimal_points(record, &headers, &numbers);
        let record = record.map_err(|reason| Error::table(path, line, reason))?;
        tiles.push(record.deserialize(Some(&headers)).map_err(failed)?);
    }
    if tiles.is_empty() {
        return Err(Error::table(path, None, "there is no tile in the table"));
    }
    Ok(tiles)
}

/// A row with its decimals as programs write them, whatever a spreadsheet made of them.
fn with_decimal_points(
    record: StringRecord,
    headers: &StringRecord,
    numbers: &NumberParser,
) -> Result<StringRecord, String> {
    let cells = record.iter().zip(headers).map(|(cell, header)| {
        if cell.trim().is_empty() || !DECIMALS.contains(&header) {
            return Ok(cell.to_owned());
        }
        let number = numbers.parse(cell);
        let number = number.map_err(|expected| format!("`{header}` is {cell}; {expected}"))?;
        Ok(number.to_string())
    });
    let mut result: StringRecord = cells.collect::<Result<Vec<_>, String>>()?.into();
    // For the line in messages.
    result.set_position(record.position().cloned());
    Ok(result)
}

/// The tiles of one hole.
///
/// # Errors
/// [`Error::Mismatch`] if there are none, with the holes that there are.
pub fn tiles_of_hole(tiles: &[Tile], hole: &str) -> Result<Vec<Tile>> {
    let of_hole = |tile: &&Tile| {
        let named = tile.hole.as_deref();
        named.is_some_and(|named| normalized_name(named) == normalized_name(hole))
    };
    let found: Vec<Tile> = tiles.iter().filter(of_hole).cloned().collect();
    if found.is_empty() {
        let reason = format!("no tile is of this hole; there are {}", few(holes(tiles)));
        return Err(Error::mismatch(hole, reason));
    }
    Ok(found)
}

/// The holes of tiles; those without one are of `a hole without a name`.
pub(crate) fn holes<'t>(tiles: impl IntoIterator<Item = &'t Tile>) -> BTreeSet<&'t str> {
    let name = |tile: &'t Tile| tile.hole.as_deref().unwrap_or("a hole without a name");
    tiles.into_iter().map(name).collect()
}

/// Rows as CSV.
pub(crate) fn to_csv<T: Serialize>(path: &Path, rows: &[T]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = rows.iter().try_for_each(|row| writer.serialize(row));
    let bytes = written
        .map_err(|error| error.to_string())
        .and_then(|()| writer.into_inner().map_err(|error| error.to_string()));
    bytes.map_err(|reason| Error::table(path, None, reason))
}
