//! Images that a table lists.

use std::path::{Path, PathBuf};

use simclr_augment::DecodedImage;

use crate::dataset::Dataset;
use crate::decode::decode_file;
use crate::error::{Error, Result};

/// The image files that a table lists, with a class for those that have one.
///
/// The table is CSV with a column `image` (or `tile`), whose paths are relative to the table's
/// folder, and a column `class` (or `label`) that may be empty; further columns are passed over.
/// Classes are in alphabetical order.
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
    /// File and class.
    rows: Vec<(String, Option<String>)>,
    classes: Vec<String>,
}

impl ImageTable {
    /// Reads a table; the images are read when they are asked for.
    ///
    /// # Errors
    /// A file that is no table, lacks one of the columns or has no rows, or a row without an image.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let unreadable = |reason: String| Error::unreadable(path.display(), reason);
        let wrong = |error: csv::Error| unreadable(error.to_string());
        let file = std::fs::File::open(path).map_err(|error| Error::io(path, error))?;
        let mut reader = csv::Reader::from_reader(file);
        let headers = reader.headers().map_err(wrong)?.clone();
        let column = |names: [&str; 2]| {
            let position = headers
                .iter()
                .position(|header| names.contains(&header.trim()));
            position
                .ok_or_else(|| unreadable(format!("no column `{}` or `{}`", names[0], names[1])))
        };
        let (image, class) = (column(["image", "tile"])?, column(["class", "label"])?);
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(wrong)?;
            let cell = |column| record.get(column).unwrap_or_default().trim().to_owned();
            if cell(image).is_empty() {
                let line = record.position().map_or(0, csv::Position::line);
                return Err(unreadable(format!("line {line} names no image")));
            }
            rows.push((
                cell(image),
                Some(cell(class)).filter(|class| !class.is_empty()),
            ));
        }
        if rows.is_empty() {
            return Err(unreadable("the table lists no image".into()));
        }
        Ok(Self::of(path, rows))
    }

    fn of(path: &Path, rows: Vec<(String, Option<String>)>) -> Self {
        let mut classes: Vec<String> = rows.iter().filter_map(|row| row.1.clone()).collect();
        classes.sort();
        classes.dedup();
        Self {
            path: path.to_owned(),
            rows,
            classes,
        }
    }

    /// The images that have a class.
    ///
    /// # Errors
    /// If none has.
    pub fn labelled(&self) -> Result<Self> {
        self.filtered(|index| self.rows[index].1.is_some())
    }

    /// The images for whose index `keep` says so, with the classes that they have.
    ///
    /// # Errors
    /// If it says so for none.
    pub fn filtered(&self, keep: impl Fn(usize) -> bool) -> Result<Self> {
        let kept = (0..self.len()).filter(|&index| keep(index));
        let rows: Vec<_> = kept.map(|index| self.rows[index].clone()).collect();
        if rows.is_empty() {
            let reason = "no image with a class, or none of those asked for, is in the table";
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
        let (file, _) = self.rows.get(index).ok_or(Error::Index { index, len })?;
        decode_file(self.path.with_file_name(file))
    }

    fn class_names(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> Option<u32> {
        let class = self.rows.get(index)?.1.as_ref()?;
        let label = self.classes.binary_search(class).ok()?;
        Some(label as u32)
    }

    fn name(&self, index: usize) -> String {
        self.rows
            .get(index)
            .map_or_else(String::new, |row| row.0.clone())
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
        refused("image\na.png\n", "no column `class` or `label`");
        refused("image,class\n", "lists no image");
        refused("image,class\na.png,x\n,y\n", "line 3 names no image");
        assert!(ImageTable::read(dir.path().join("none.csv")).is_err());
    }
}
