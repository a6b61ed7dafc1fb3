//! Images that a table lists.

use std::path::{Path, PathBuf};

use simclr_augment::DecodedImage;

use crate::dataset::Dataset;
use crate::decode::decode_file;
use crate::error::{Error, Result};
use crate::extension::DatasetExt;
use crate::subset::Subset;

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
    folder: PathBuf,
    path: PathBuf,
    files: Vec<String>,
    labels: Vec<Option<u32>>,
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
        let (mut files, mut names) = (Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record.map_err(wrong)?;
            let cell = |column| record.get(column).unwrap_or_default().trim().to_owned();
            if cell(image).is_empty() {
                let line = record.position().map_or(0, csv::Position::line);
                return Err(unreadable(format!("line {line} names no image")));
            }
            files.push(cell(image));
            names.push(cell(class));
        }
        if files.is_empty() {
            return Err(unreadable("the table lists no image".into()));
        }
        let mut classes = names.clone();
        classes.sort();
        classes.dedup();
        classes.retain(|class| !class.is_empty());
        let label = |class: &String| classes.binary_search(class).ok().map(|label| label as u32);
        Ok(Self {
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
            path: path.to_owned(),
            labels: names.iter().map(label).collect(),
            files,
            classes,
        })
    }

    /// The images that have a class.
    ///
    /// # Errors
    /// If none has.
    pub fn labelled(&self) -> Result<Subset> {
        let labelled: Vec<usize> = (0..self.len())
            .filter(|&index| self.label(index).is_some())
            .collect();
        if labelled.is_empty() {
            let reason = "no image has a class";
            return Err(Error::unreadable(self.path.display(), reason));
        }
        self.clone().subset(labelled)
    }
}

impl Dataset for ImageTable {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn decode(&self, index: usize) -> Result<DecodedImage> {
        let len = self.len();
        let file = self.files.get(index).ok_or(Error::Index { index, len })?;
        decode_file(self.folder.join(file))
    }

    fn class_names(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.labels.get(index).copied().flatten()
    }

    fn name(&self, index: usize) -> String {
        self.files.get(index).cloned().unwrap_or_default()
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
        refused("tile,class\na.png,\n", "no image has a class");
        refused("file,class\na.png,x\n", "no column `image` or `tile`");
        refused("image\na.png\n", "no column `class` or `label`");
        refused("image,class\n", "lists no image");
        refused("image,class\na.png,x\n,y\n", "line 3 names no image");
        assert!(ImageTable::read(dir.path().join("none.csv")).is_err());
    }
}
