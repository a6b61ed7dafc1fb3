//! Images that a command is given, and pictures that it gives.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{DynamicImage, ImageFormat};
use simclr_data::{Concatenated, Dataset, ImageFolder, ImageTable};

use crate::terminal::AnyResult;

/// Images with labels: a folder with a folder per class, or a table of images and classes.
pub(crate) fn labelled(path: &Path) -> AnyResult<Arc<dyn Dataset>> {
    if path.is_dir() {
        return Ok(Arc::new(ImageFolder::labelled(path)?));
    }
    Ok(Arc::new(ImageTable::read(path)?.labelled()?))
}

/// The images of one folder or of several, or of tables of images, without labels.
pub(crate) fn unlabelled(sources: &[PathBuf]) -> AnyResult<Arc<dyn Dataset>> {
    let open = |path: &PathBuf| -> AnyResult<Arc<dyn Dataset>> {
        if path.is_file() {
            Ok(Arc::new(ImageTable::read(path)?.unlabelled()))
        } else {
            Ok(Arc::new(ImageFolder::unlabelled(path)?))
        }
    };
    let opened = sources.iter().map(open).collect::<AnyResult<Vec<_>>>()?;
    Ok(match opened.as_slice() {
        [source] => source.clone(),
        sources => Arc::new(Concatenated::new(sources.to_vec())?),
    })
}

/// A picture as the bytes of a PNG file.
pub(crate) fn png(picture: impl Into<DynamicImage>) -> AnyResult<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}
