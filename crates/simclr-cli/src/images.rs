//! Images that a command is given, and pictures that it gives.

use std::ffi::OsStr;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{DynamicImage, ImageFormat};
use simclr_data::{Dataset, ImageFiles, ImageFolder, ImageTable, Labels, joined_image_files};

use crate::terminal::{AnyResult, complain};

/// Images with labels: a folder with a folder per class, or a table of images and classes.
pub(crate) fn labelled(path: &Path) -> AnyResult<Arc<dyn Dataset>> {
    if path.is_dir() {
        return Ok(Arc::new(ImageFolder::labelled(path)?));
    }
    Ok(Arc::new(ImageTable::read(path)?.labelled()?))
}

/// The images of one folder or of several, or of tables of images, without labels, each file once.
pub(crate) fn unlabelled(sources: &[PathBuf]) -> AnyResult<Arc<dyn Dataset>> {
    let open = |path: &PathBuf| -> AnyResult<Arc<dyn ImageFiles>> {
        if path.is_file() {
            Ok(Arc::new(ImageTable::read(path)?.unlabelled()))
        } else {
            Ok(Arc::new(ImageFolder::unlabelled(path)?))
        }
    };
    let mut opened = sources.iter().map(open).collect::<AnyResult<Vec<_>>>()?;
    if opened.len() == 1
        && let Some(source) = opened.pop()
    {
        return Ok(source);
    }
    let (images, repeated) = joined_image_files(opened)?;
    if repeated > 0 {
        complain(format_args!(
            "warning: {repeated} images are given more than once and count once"
        ));
    }
    Ok(Arc::new(images))
}

/// The images of a folder, searched to the bottom.
pub(crate) fn of_folder(path: &Path, skip_unreadable: bool) -> AnyResult<ImageFolder> {
    let images = ImageFolder::builder(path).labels(Labels::Ignored);
    Ok(images.skip_unreadable(skip_unreadable).open()?)
}

/// Removes the pictures of a report that was in its folder before, `PREFIX-NUMBER.png`: a shorter
/// one that follows would leave some of them.
pub(crate) fn remove_pictures(report: &Path, prefixes: &[&str]) -> AnyResult {
    let pictures = report.join("figures");
    if !pictures.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(&pictures)? {
        let path = entry?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let is_picture = |prefix: &&str| {
            let rest = name
                .strip_prefix(prefix)
                .and_then(|name| name.strip_prefix('-'));
            let number = rest.and_then(|rest| rest.strip_suffix(".png"));
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        };
        if prefixes.iter().any(is_picture) {
            fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

/// A picture as the bytes of a PNG file.
pub(crate) fn png(picture: impl Into<DynamicImage>) -> AnyResult<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_an_older_report_go_and_everything_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        remove_pictures(dir.path(), &["image"]).unwrap();
        let figures = dir.path().join("figures");
        fs::create_dir(&figures).unwrap();
        let names = [
            "image-2.png",
            "section-13.png",
            "image-x.png",
            "my-image-4.png",
            "core-3.png",
        ];
        for name in names {
            fs::write(figures.join(name), "").unwrap();
        }
        remove_pictures(dir.path(), &["image", "section"]).unwrap();
        let left = names.map(|name| figures.join(name).exists());
        assert_eq!(left, [false, false, true, true, true]);
    }
}
