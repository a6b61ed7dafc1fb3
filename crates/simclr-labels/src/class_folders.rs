//! Class folders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use simclr_data::{Dataset, ImageFolder};
use simclr_files::{FileFinder, normalized_name, write_folder};

use crate::error::{Error, Result};
use crate::label::Label;

pub(crate) fn read(path: &Path) -> Result<Vec<Label>> {
    let images = ImageFolder::labelled(path)?;
    let label = |index: usize| {
        let class = images.class_names().get(images.label(index)? as usize)?;
        Some(Label::new(images.name(index), class))
    };
    Ok((0..images.len()).filter_map(label).collect())
}

/// Copies each image into the folder of its class.
pub(crate) fn write(path: &Path, labels: &[Label], images: &Path) -> Result<()> {
    let mut copies: BTreeMap<String, (PathBuf, PathBuf)> = BTreeMap::new();
    let mut finder = FileFinder::default();
    for label in labels {
        let from = finder.find(images, &label.image)?;
        if !from.is_file() {
            let reason = format!("there is no image {}", from.display());
            return Err(Error::unwritable(path)(reason));
        }
        if label.class.contains(['/', '\\']) || label.class.starts_with('.') {
            let reason = format!("`{}` cannot be the name of a folder", label.class);
            return Err(Error::unwritable(path)(reason));
        }
        let to = Path::new(&label.class).join(label.file_name());
        // Not every file system has two files whose names differ in their Unicode form alone.
        let key = normalized_name(&to.to_string_lossy()).into_owned();
        if let Some((_, other)) = copies.insert(key, (to, from)) {
            let reason = format!(
                "{} and another image of its class have one name",
                other.display()
            );
            return Err(Error::unwritable(path)(reason));
        }
    }
    write_folder(path, |folder| {
        for (to, from) in copies.values() {
            copy(from, &folder.join(to)).map_err(simclr_files::Error::io(&path.join(to)))?;
        }
        Ok(())
    })
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to).map(drop)
}
