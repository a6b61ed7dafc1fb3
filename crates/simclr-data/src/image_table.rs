//! Images that a table lists.

use std::path::{Path, PathBuf};

use simclr_augment::DecodedImage;

use crate::dataset::Dataset;
use crate::decode::decode_file;
use crate::depth_position::DepthPosition;
use crate::error::{Error, Result};

/// The image files that a table lists, with a class and a depth for those that have one.
///
/// The table is CSV with a column `image` (or `tile`), whose paths are relative to the table's
/// folder. It may have a column `class` (or `label`), whose cells may be empty; classes are in
/// alphabetical order. Further columns are passed over, but for those of the
/// [position](Dataset::position):
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
    file: String,
    class: Option<String>,
    position: Option<DepthPosition>,
}

/// Smaller numbers stand for missing values, as -999.25 does in logs.
const SMALLEST_DEPTH: f64 = -998.0;

/// A row of a table and where its columns are.
struct Cells<'a> {
    record: &'a csv::StringRecord,
    headers: &'a csv::StringRecord,
}

impl Cells<'_> {
    /// What stands in the first of these columns that the table has; `None` if that is empty.
    fn text(&self, columns: &[&str]) -> Option<&str> {
        let column = position_of(self.headers, columns)?;
        let cell = self.record.get(column).unwrap_or_default().trim();
        Some(cell).filter(|cell| !cell.is_empty())
    }

    fn number(&self, column: &str) -> Result<Option<f64>, String> {
        let Some(text) = self.text(&[column]) else {
            return Ok(None);
        };
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() && value >= SMALLEST_DEPTH => Ok(Some(value)),
            _ => Err(format!("{column} is {text}, which is no depth or offset")),
        }
    }

    /// The middle between two columns.
    fn middle(&self, top: &str, bottom: &str) -> Result<Option<f64>, String> {
        let ends = self.number(top)?.zip(self.number(bottom)?);
        Ok(ends.map(|(top, bottom)| (top + bottom) / 2.0))
    }

    fn position(&self, table: &Path) -> Result<Option<DepthPosition>, String> {
        let depth = match self.number("depth_m")? {
            Some(depth) => Some(depth),
            None => self.middle("top_depth_m", "bottom_depth_m")?,
        };
        if let Some(depth) = depth {
            let of_table = || table.display().to_string();
            let hole = self.text(&["hole"]).map_or_else(of_table, str::to_owned);
            return Ok(Some(DepthPosition { hole, depth }));
        }
        let offset = self.middle("top_offset_cm", "bottom_offset_cm")?;
        let place = self.text(&["section"]).zip(offset);
        Ok(place.map(|(section, offset)| DepthPosition {
            hole: section.to_owned(),
            depth: offset / 100.0,
        }))
    }
}

fn position_of(headers: &csv::StringRecord, names: &[&str]) -> Option<usize> {
    let mut headers = headers.iter();
    headers.position(|header| names.contains(&header.trim()))
}

impl ImageTable {
    /// Reads a table; the images are read when they are asked for.
    ///
    /// # Errors
    /// A file that is no table, has no column of images or no rows, or a row without an image or
    /// with a depth that is no number.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let unreadable = |reason: String| Error::unreadable(path.display(), reason);
        let wrong = |error: csv::Error| unreadable(error.to_string());
        let file = std::fs::File::open(path).map_err(|error| Error::io(path, error))?;
        let mut reader = csv::Reader::from_reader(file);
        let headers = reader.headers().map_err(wrong)?.clone();
        let image = ["image", "tile"];
        if position_of(&headers, &image).is_none() {
            return Err(unreadable("no column `image` or `tile`".into()));
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(wrong)?;
            let (record, headers) = (&record, &headers);
            let cells = Cells { record, headers };
            let line = record.position().map_or(0, csv::Position::line);
            let position = cells.position(path);
            let position =
                position.map_err(|reason| unreadable(format!("line {line}: {reason}")))?;
            let file = cells.text(&image);
            let file = file.ok_or_else(|| unreadable(format!("line {line} names no image")))?;
            rows.push(Row {
                file: file.to_owned(),
                class: cells.text(&["class", "label"]).map(str::to_owned),
                position,
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
        self.filtered(|index| self.rows[index].class.is_some())
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
        let row = self.rows.get(index).ok_or(Error::Index { index, len })?;
        decode_file(self.path.with_file_name(&row.file))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_gives_labels_to_the_images_that_have_a_class() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tiles.csv");
        let image = DecodedImage::new(2, 2, vec![7; 12]).unwrap();
        for name in ["a.png", "b.png"] {
            crate::save_png(&image, dir.path().join(name)).unwrap();
        }
        let rows = "tile,section,class\na.png,1,soupy\nb.png,1,\nb.png,1,none\n";
        std::fs::write(&path, rows).unwrap();
        let images = ImageTable::read(&path).unwrap();
        assert_eq!(images.class_names(), ["none", "soupy"]);
        let labels: Vec<_> = (0..4).map(|index| images.label(index)).collect();
        assert_eq!(labels, [Some(1), None, Some(0), None]);
        assert_eq!(images.decode(1).unwrap(), image);
        let labelled = images.labelled().unwrap();
        assert_eq!(labelled.labels("a test").unwrap(), [1, 0]);
        assert_eq!(labelled.name(1), "b.png");
        let soupy = labelled.filtered(|index| index == 0).unwrap();
        assert_eq!(
            (soupy.len(), soupy.class_names()),
            (1, &["soupy".to_owned()][..])
        );
    }

    #[test]
    fn depths_come_from_the_table() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tiles.csv");
        let positions = |rows: &str| -> Result<Vec<_>> {
            std::fs::write(&path, rows).unwrap();
            let images = ImageTable::read(&path)?;
            let images = images.unlabelled();
            assert!(images.class_names().is_empty());
            Ok((0..images.len())
                .map(|index| images.position(index))
                .collect())
        };
        let at = |hole: &str, depth| {
            let hole = hole.to_owned();
            Some(DepthPosition { hole, depth })
        };
        // As `simclr tiles` writes them: with depths, with offsets alone, and with neither.
        let header =
            "tile,section,hole,top_offset_cm,bottom_offset_cm,top_depth_m,bottom_depth_m,class\n";
        let rows = "a.png,1H-1,U1,10,20,1.5,1.7,x\nb.png,1H-2,,10,20,,,\nc.png,1H-3,U1,,,,,x\n";
        let found = positions(&format!("{header}{rows}")).unwrap();
        let [Some(first), second, third] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(first.hole, "U1");
        assert!((first.depth - 1.6).abs() < 1e-12);
        assert_eq!((second, third), (&at("1H-2", 0.15), &None));
        let one_hole = positions("image,depth_m\na.png,3\nb.png,4\n").unwrap();
        assert_eq!(one_hole[1], at(&path.display().to_string(), 4.0));
        for wrong in ["deep", "NaN", "-999.25"] {
            let error = positions(&format!("image,depth_m\na.png,1\nb.png,{wrong}\n"));
            let message = error.unwrap_err().to_string();
            assert!(
                message.contains(&format!("line 3: depth_m is {wrong}")),
                "{message}"
            );
        }
    }

    #[test]
    fn other_tables_are_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tiles.csv");
        let refused = |rows: &str, expected: &str| {
            std::fs::write(&path, rows).unwrap();
            let images = ImageTable::read(&path).and_then(|images| images.labelled());
            let message = images.unwrap_err().to_string();
            assert!(message.contains("tiles.csv"), "{message}");
            assert!(message.contains(expected), "{message}");
        };
        refused("tile,class\na.png,\n", "no image with a class");
        refused("file,class\na.png,x\n", "no column `image` or `tile`");
        refused("image\na.png\n", "a column `class` or `label`");
        refused("image,class\n", "lists no image");
        refused("image,class\na.png,x\n,y\n", "line 3 names no image");
        assert!(ImageTable::read(dir.path().join("none.csv")).is_err());
    }
}
