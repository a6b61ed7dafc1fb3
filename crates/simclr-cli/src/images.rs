//! Images that a command is given, and pictures that it gives.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{DynamicImage, ImageFormat};
use simclr_data::{Dataset, ImageFiles, ImageFolder, ImageTable, joined_image_files};

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

/// A picture as the bytes of a PNG file.
pub(crate) fn png(picture: impl Into<DynamicImage>) -> AnyResult<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}
