//! Images that are files, given by several sources.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use crate::concatenated::Concatenated;
use crate::dataset::Dataset;
use crate::error::Result;
use crate::folder::ImageFolder;
use crate::image_table::ImageTable;
use crate::subset::Subset;

/// A data set whose images are files.
pub trait ImageFiles: Dataset {
    /// The file of an image, or `None` if `index` is past the end.
    fn file(&self, index: usize) -> Option<PathBuf>;
}

impl ImageFiles for ImageFolder {
    fn file(&self, index: usize) -> Option<PathBuf> {
        self.paths().get(index).cloned()
    }
}

impl ImageFiles for ImageTable {
    fn file(&self, index: usize) -> Option<PathBuf> {
        self.path(index)
    }
}

/// The images of several sources one after another, each file once however often it is given: an
/// image that is there twice would be its own negative in a contrastive loss. Returns the images
/// and how many files were left out because they came before.
///
/// # Errors
/// As [`Concatenated::new`].
///
/// ```no_run
/// use std::sync::Arc;
/// use simclr_data::{ImageFiles, ImageFolder, ImageTable, joined_image_files};
///
/// # fn main() -> simclr_data::Result<()> {
/// let table = Arc::new(ImageTable::read("cut/tiles.csv")?.unlabelled());
/// let folder = Arc::new(ImageFolder::unlabelled("cut/tiles")?);
/// let (images, repeated) = joined_image_files(vec![table, folder])?;
/// # Ok(())
/// # }
/// ```
pub fn joined_image_files(sources: Vec<Arc<dyn ImageFiles>>) -> Result<(Concatenated, usize)> {
    let mut seen: HashSet<PathBuf> = HashSet::new();
    let mut repeated = 0;
    let mut sets: Vec<Arc<dyn Dataset>> = Vec::with_capacity(sources.len());
    for source in sources {
        let count = source.len();
        let is_new = |index: &usize| {
            // A file that is not there is an error when it is read, and not here.
            let file = source.file(*index);
            file.is_none_or(|file| seen.insert(file.canonicalize().unwrap_or(file)))
        };
        let new: Vec<usize> = (0..count).filter(is_new).collect();
        repeated += count - new.len();
        let source: Arc<dyn Dataset> = source;
        sets.push(Arc::new(Subset::new(source, new)?));
    }
    Ok((Concatenated::new(sets)?, repeated))
}
