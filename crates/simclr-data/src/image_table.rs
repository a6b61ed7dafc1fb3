//! Images that a table lists.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use simclr_augment::DecodedImage;
use simclr_files::{FileFinder, FirstSpellings};

use crate::class_names::warn_of_class_names;
use crate::csv_table::{CsvRow, CsvTable};
use crate::dataset::Dataset;
use crate::decode::decode_file;
use crate::depth_position::DepthPosition;
use crate::error::{Error, Result};

/// The image files that a table lists, with a class and a depth for those that have one.
///
/// The table is a [`CsvTable`] with a column `image` (or `tile`), whose paths are relative to the
/// table's folder. It may have a column `class` (or `label`), whose cells may be empty; classes are
/// in alphabetical order. An image counts once. Its name may have another Unicode form than its
/// file's. Further columns are passed over, but for those of
/// the [position](Dataset::position):
///
/// - `depth_m`, or `top_depth_m` and `bottom_depth_m`: the depth of the image's middle in metres,
///   in the hole that a column `hole` names. Without that column, all are in one hole.
/// - Where there is no depth, `section` with `top_offset_cm` and `bottom_offset_cm`: the place in
///   the section, which then stands for the hole.
///
/// ```no_run
/// use simclr_data::{Dataset, ImageTable};
///
/// # fn main() -> simclr_data::Result<()> {
/// let tiles = ImageTable::read("cut/tiles.csv")?;
/// let labelled = tiles.labelled()?;
/// println!("{} of {} images have a class", labelled.len(), tiles.len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ImageTable {
    path: PathBuf,
    rows: Vec<Row>,
    classes: Vec<String>,
}

#[derive(Debug, Clone)]
struct Row {
    /// As the table names it.
    file: String,
    /// Where it is, perhaps in another Unicode form.
    path: PathBuf,
    class: Option<String>,
    position: Option<DepthPosition>,
}

/// Other numbers stand for missing values, as -999.25 does in logs and 1e30 in grids. In metres or, of
/// offsets, centimetres.
const DEPTHS: RangeInclusive<f64> = -998.0..=1e6;

/// A row of a table and where its columns are.
struct Cells<'a> {
    row: &'a CsvRow,
    table: &'a CsvTable,
}

impl Cells<'_> {
    /// What stands in a column; `None` if there is none, or nothing in it.
    fn text(&self, column: &str) -> Option<&str> {
        let cell = self.row.cell(self.table.column(&[column])?);
        Some(cell).filter(|cell| !cell.is_empty())
    }

    fn number(&self, column: &str) -> Result<Option<f64>> {
        let Some(column) = self.table.column(&[column]) else {
            return Ok(None);
        };
        let number = self.table.number(self.row, column)?;
        if number.is_none_or(|value| DEPTHS.contains(&value)) {
            return Ok(number);
        }
        let expected = "expected a depth or an offset, and nothing where there is none";
        Err(self.table.cell_error(self.row, column, expected))
    }

    /// The middle between two columns.
    fn middle(&self, top: &str, bottom: &str) -> Result<Option<f64>> {
        let ends = self.number(top)?.zip(self.number(bottom)?);
        Ok(ends.map(|(top, bottom)| (top + bottom) / 2.0))
    }

    fn position(&self, table: &Path) -> Result<Option<DepthPosition>> {
        let depth = match self.number("depth_m")? {
            Some(depth) => Some(depth),
            None => self.middle("top_depth_m", "bottom_depth_m")?,
        };
        if let Some(depth) = depth {
            let of_table = || table.display().to_string();
            let hole = self.text("hole").map_or_else(of_table, str::to_owned);
            return Ok(Some(DepthPosition { hole, depth }));
        }
        let offset = self.middle("top_offset_cm", "bottom_offset_cm")?;
        let place = self.text("section").zip(offset);
        Ok(place.map(|(section, offset)| DepthPosition {
            hole: section.to_owned(),
            depth: offset / 100.0,
        }))
    }
}

impl ImageTable {
    /// Reads a table; the images are read when they are asked for.
    ///
    /// # Errors
    /// A file that is no table, has no column of images or no rows, a row without an image or with
    /// a depth that is no number, an image with two classes or depths, or two files that differ in the Unicode
    /// form of their names alone.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let unreadable = |reason: String| Error::unreadable(path.display(), reason);
        let table = CsvTable::read(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let (mut finder, mut spellings) = (FileFinder::default(), FirstSpellings::default());
        let mut rows = Vec::with_capacity(table.rows().len());
        for found in table.images()? {
            let (row, table) = (found.row, &table);
            let position = Cells { row, table }.position(path)?;
            for row in found.repeats {
                if (Cells { row, table }).position(path)? != position {
                    let (image, first, second) = (&found.image, found.row.line(), row.line());
                    let lines = format!("lines {first} and {second}");
                    return Err(table.error(format!("{image} has two depths, in {lines}")));
                }
            }
            rows.push(Row {
                path: finder.find(folder, &found.image)?,
                file: found.image,
                class: found.class.map(|class| spellings.of(class)),
                position: position.map(|position| DepthPosition {
                    hole: spellings.of(&position.hole),
                    ..position
                }),
            });
        }
        if rows.is_empty() {
            return Err(unreadable("the table lists no image".into()));
        }
        Ok(Self::of(path, rows))
    }

    fn of(path: &Path, rows: Vec<Row>) -> Self {
        let mut classes: Vec<String> = rows.iter().filter_map(|row| row.class.clone()).collect();
        classes.sort();
        classes.dedup();
        Self {
            path: path.to_owned(),
            rows,
            classes,
        }
    }

    /// The file of an image.
    pub(crate) fn path(&self, index: usize) -> Option<PathBuf> {
        Some(self.rows.get(index)?.path.clone())
    }

    /// The images without their classes.
    pub fn unlabelled(&self) -> Self {
        let without = |row: &Row| Row {
            class: None,
            ..row.clone()
        };
        Self::of(&self.path, self.rows.iter().map(without).collect())
    }

    /// The images that have a class.
    ///
    /// # Errors
    /// If none has.
    pub fn labelled(&self) -> Result<Self> {
        let labelled = self.filtered(|index| self.rows[index].class.is_some())?;
        warn_of_class_names(&self.path, &labelled.classes);
        Ok(labelled)
    }

    /// The images for whose index `keep` says so, with the classes that they have.
    ///
    /// # Errors
    /// If it says so for none.
    pub fn filtered(&self, keep: impl Fn(usize) -> bool) -> Result<Self> {
        let kept = (0..self.len()).filter(|&index| keep(index));
        let rows: Vec<_> = kept.map(|index| self.rows[index].clone()).collect();
        if rows.is_empty() {
            let reason = "no image with a class (a column `class` or `label`), or none of those \
                          asked for, is in the table";
            return Err(Error::unreadable(self.path.display(), reason));
        }
        Ok(Self::of(&self.path, rows))
    }
}

impl Dataset for ImageTable {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn decode(&self, index: usize) -> Result<DecodedImage> {
        let len = self.len();
        decode_file(self.path(index).ok_or(Error::Index { index, len })?)
    }

    fn class_names(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> Option<u32> {
        let class = self.rows.get(index)?.class.as_ref()?;
        let label = self.classes.binary_search(class).ok()?;
        Some(label as u32)
    }

    fn name(&self, index: usize) -> String {
        self.rows
            .get(index)
            .map_or_else(String::new, |row| row.file.clone())
    }

    fn position(&self, index: usize) -> Option<DepthPosition> {
        self.rows.get(index)?.position.clone()
    }
}
