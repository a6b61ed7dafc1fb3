//! Images in folders.

mod decode;
mod enlarge;
mod scan;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use simclr_augment::DecodedImage;

use crate::{Dataset, Error, Result};

pub use decode::decode_file;
pub use enlarge::{EnlargedFolder, FolderEnlargement};
pub use scan::ScanReport;

/// The images below a folder.
///
/// Labelled images lie in one folder per class, `<root>/<class>/<image>`, and
/// unlabelled ones anywhere below the root. JPEG, PNG, TIFF (its first page) and
/// BMP are read, grey or colour, 8 or 16 bits per channel, of any size. The order
/// is that of the sorted paths, so it is the same on every machine.
///
/// Hidden files and folders are passed over. Empty image files and files of other
/// types are left out and listed in [`ImageFolder::report`]. A file that claims to
/// be an image and is not is an error that names it, when it is decoded at the
/// latest; [`ImageFolderBuilder`] can look at every file at once, or leave the
/// unreadable ones out.
///
/// Cloning is cheap: the clones share one list.
///
/// ```no_run
/// use simclr_data::{Dataset, ImageFolder};
///
/// let cores = ImageFolder::labelled("cores/")?;
/// println!("{} images of {:?}; {}", cores.len(), cores.class_names(), cores.report());
/// # Ok::<(), simclr_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ImageFolder {
    inner: Arc<Listing>,
}

#[derive(Debug, Default)]
struct Listing {
    root: PathBuf,
    paths: Vec<PathBuf>,
    labels: Option<Vec<u32>>,
    classes: Vec<String>,
    report: ScanReport,
}

/// How the images of a folder are labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Labels {
    /// Folders inside the root are classes. Files directly in the root are left out.
    Classes,
    /// No labels, whatever folders there are.
    Nowhere,
    /// [`Labels::Classes`] if there are at least two folders with images and no
    /// image lies directly in the root, else [`Labels::Nowhere`] (default).
    #[default]
    Detect,
}

/// Options for opening an [`ImageFolder`].
///
/// ```no_run
/// use simclr_data::{ImageFolder, Labels};
///
/// let cores = ImageFolder::builder("cores/")
///     .labels(Labels::Classes)
///     .skip_unreadable(true)
///     .open()?;
/// for (path, reason) in &cores.report().unreadable {
///     eprintln!("left out {}: {reason}", path.display());
/// }
/// # Ok::<(), simclr_data::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ImageFolderBuilder {
    root: PathBuf,
    labels: Labels,
    verify: bool,
    skip_unreadable: bool,
}

impl ImageFolderBuilder {
    /// Where labels come from (default: [`Labels::Detect`]).
    pub fn labels(self, labels: Labels) -> Self {
        Self { labels, ..self }
    }

    /// Whether to decode every image once while opening, so that a damaged file is
    /// found before hours of training and not in the middle (default: no, which
    /// opens at once).
    pub fn verify(self, verify: bool) -> Self {
        Self { verify, ..self }
    }

    /// Whether to leave out images that cannot be read and list them in the report
    /// (default: no). Every image is decoded once for it.
    pub fn skip_unreadable(self, skip: bool) -> Self {
        Self {
            skip_unreadable: skip,
            ..self
        }
    }

    /// Lists the folder, and looks at the files if that was asked for.
    ///
    /// # Errors
    /// If the folder is missing or is a file, holds no image, a class holds none,
    /// or (with [`verify`](Self::verify)) a file cannot be decoded.
    pub fn open(self) -> Result<ImageFolder> {
        scan::check_folder(&self.root)?;
        let mut listing = match self.labels {
            Labels::Classes => list_classes(&self.root)?,
            Labels::Nowhere => list_all(&self.root)?,
            Labels::Detect if looks_labelled(&self.root)? => list_classes(&self.root)?,
            Labels::Detect => list_all(&self.root)?,
        };
        if self.verify || self.skip_unreadable {
            check_images(&mut listing, self.skip_unreadable)?;
        }
        if !listing.report.is_clean() {
            tracing::warn!(folder = %self.root.display(), "{}", listing.report);
        }
        Ok(ImageFolder {
            inner: Arc::new(listing),
        })
    }
}

impl ImageFolder {
    /// Opens a folder of class folders.
    ///
    /// # Errors
    /// If the folder is missing, has no class folders, or a class has no images.
    pub fn labelled(root: impl Into<PathBuf>) -> Result<Self> {
        Self::builder(root).labels(Labels::Classes).open()
    }

    /// Opens a folder of images without using labels; folders inside are searched
    /// too, class folders or not.
    ///
    /// # Errors
    /// If the folder is missing or holds no image.
    pub fn unlabelled(root: impl Into<PathBuf>) -> Result<Self> {
        Self::builder(root).labels(Labels::Nowhere).open()
    }

    /// Opens a folder with labels if it looks as if it had them; see [`Labels::Detect`].
    ///
    /// # Errors
    /// If the folder is missing or holds no image, or a class has none.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        Self::builder(root).open()
    }

    /// Options for opening a folder.
    pub fn builder(root: impl Into<PathBuf>) -> ImageFolderBuilder {
        ImageFolderBuilder {
            root: root.into(),
            labels: Labels::default(),
            verify: false,
            skip_unreadable: false,
        }
    }

    /// The folder that was opened.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// The image files in order.
    pub fn paths(&self) -> &[PathBuf] {
        &self.inner.paths
    }

    /// Whether the images have labels.
    pub fn is_labelled(&self) -> bool {
        self.inner.labels.is_some()
    }

    /// What was left out.
    pub fn report(&self) -> &ScanReport {
        &self.inner.report
    }

    fn path(&self, index: usize) -> Result<&PathBuf> {
        let len = self.inner.paths.len();
        self.inner
            .paths
            .get(index)
            .ok_or(Error::Index { index, len })
    }
}

impl Dataset for ImageFolder {
    fn len(&self) -> usize {
        self.inner.paths.len()
    }

    fn class_names(&self) -> &[String] {
        &self.inner.classes
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.inner.labels.as_ref()?.get(index).copied()
    }

    fn name(&self, index: usize) -> String {
        match self.inner.paths.get(index) {
            Some(path) => scan::relative_name(&self.inner.root, path),
            None => format!("image {index}"),
        }
    }

    fn decode(&self, index: usize) -> Result<DecodedImage> {
        decode_file(self.path(index)?)
    }

    fn content_digest(&self, index: usize) -> Result<[u8; 32]> {
        let path = self.path(index)?;
        let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
        Ok(Sha256::digest(bytes).into())
    }
}

/// Whether the folders inside `root` look like classes.
fn looks_labelled(root: &Path) -> Result<bool> {
    let mut ignored = ScanReport::default();
    let mut with_images = 0;
    let entries = scan::entries(root)?;
    if entries
        .files
        .iter()
        .any(|file| scan::has_image_extension(file))
    {
        return Ok(false);
    }
    for folder in entries.folders {
        let mut images = Vec::new();
        scan::collect_images(&folder, &mut ignored, &mut images)?;
        with_images += usize::from(!images.is_empty());
    }
    Ok(with_images >= 2)
}

fn list_all(root: &Path) -> Result<Listing> {
    let mut listing = Listing {
        root: root.to_path_buf(),
        ..Listing::default()
    };
    scan::collect_images(root, &mut listing.report, &mut listing.paths)?;
    if listing.paths.is_empty() {
        return Err(no_images(&listing));
    }
    Ok(listing)
}

fn no_images(listing: &Listing) -> Error {
    Error::NoImages {
        path: listing.root.clone(),
        details: listing.report.to_string(),
    }
}

fn list_classes(root: &Path) -> Result<Listing> {
    let mut listing = Listing {
        root: root.to_path_buf(),
        ..Listing::default()
    };
    let entries = scan::entries(root)?;
    if entries.folders.is_empty() {
        return Err(Error::NoClasses(root.to_path_buf()));
    }
    let mut labels = Vec::new();
    for (label, folder) in (0u32..).zip(entries.folders) {
        let class = scan::relative_name(root, &folder);
        let mut report = ScanReport::default();
        scan::collect_images(&folder, &mut report, &mut listing.paths)?;
        if listing.paths.len() == labels.len() {
            return Err(Error::EmptyClass {
                path: folder,
                class,
                details: report.to_string(),
            });
        }
        labels.resize(listing.paths.len(), label);
        listing.classes.push(class);
        listing.report.empty.append(&mut report.empty);
        listing.report.ignored.append(&mut report.ignored);
    }
    listing.report.ignored.extend(entries.files);
    listing.labels = Some(labels);
    Ok(listing)
}

/// Decodes every image. Those that fail are an error, or leave the list.
fn check_images(listing: &mut Listing, skip: bool) -> Result<()> {
    let failures: Vec<Option<Error>> = listing
        .paths
        .par_iter()
        .map(|path| decode_file(path).err())
        .collect();
    let mut keep = Vec::with_capacity(failures.len());
    for (path, failure) in listing.paths.iter().zip(failures) {
        keep.push(failure.is_none());
        match failure {
            None => {}
            Some(error) if !skip => return Err(error),
            Some(Error::Unreadable { reason, .. }) => {
                listing.report.unreadable.push((path.clone(), reason));
            }
            Some(other) => {
                let reason = other.to_string();
                listing.report.unreadable.push((path.clone(), reason));
            }
        }
    }
    let mut kept = keep.iter();
    listing.paths.retain(|_| kept.next() == Some(&true));
    if let Some(labels) = &mut listing.labels {
        let mut kept = keep.iter();
        labels.retain(|_| kept.next() == Some(&true));
    }
    check_classes_left(listing)
}

/// Fails if leaving images out has emptied the set or a class.
fn check_classes_left(listing: &Listing) -> Result<()> {
    let labels = listing.labels.iter().flatten();
    let mut used = vec![false; listing.classes.len()];
    for &label in labels {
        if let Some(used) = used.get_mut(label as usize) {
            *used = true;
        }
    }
    if let Some((class, _)) = listing.classes.iter().zip(used).find(|(_, used)| !used) {
        return Err(Error::EmptyClass {
            path: listing.root.join(class),
            class: class.clone(),
            details: listing.report.to_string(),
        });
    }
    if listing.paths.is_empty() {
        return Err(no_images(listing));
    }
    Ok(())
}
