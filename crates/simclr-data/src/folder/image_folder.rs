use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use simclr_augment::DecodedImage;
use simclr_files::FirstSpellings;

use super::file_digests::FileDigests;
use super::report::{ScanReport, first_few};
use super::scan::{Scan, relative_name, scan, why_empty};
use crate::class_names::warn_of_class_names;
use crate::dataset::{Dataset, count_labels};
use crate::decode::{DecodeOptions, asks_to_be_turned, decode_file_with, readable_formats};
use crate::error::{Error, Result};

/// The images below a folder.
///
/// Labelled images lie in one folder per class, `<root>/<class>/<image>`, and
/// unlabelled ones anywhere below the root. Files of every format that
/// [`decode_file`](crate::decode_file) reads are images. The order is
/// fixed, so it is the same on every machine: of each folder first its files, sorted by
/// name, then its folders.
///
/// Hidden files and folders are passed over, and so are the folders of systems and network storage
/// (`__MACOSX`, `@eaDir`, `$RECYCLE.BIN` and the like). Empty image files, files of other types and, where
/// labels are asked for, images beside the class folders are left out and listed in
/// [`ImageFolder::report`]. A file that claims to
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
    digests: Arc<FileDigests>,
}

#[derive(Debug, Clone, Default)]
struct Listing {
    root: PathBuf,
    paths: Vec<PathBuf>,
    /// Of each image; empty where there are no classes.
    labels: Vec<Option<u32>>,
    classes: Vec<String>,
    report: ScanReport,
    options: DecodeOptions,
}

/// How the images of a folder are labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Labels {
    /// Folders inside the root are classes. Files directly in the root are left out.
    ClassFolders,
    /// No labels, whatever folders there are.
    Ignored,
    /// Folders inside the root that hold images are classes if there are at least two, else
    /// [`Labels::Ignored`] (default). Images directly in the root are kept, without a label.
    #[default]
    Detect,
}

/// Options for opening an [`ImageFolder`].
///
/// ```no_run
/// use simclr_data::{ImageFolder, Labels};
///
/// let cores = ImageFolder::builder("cores/")
///     .labels(Labels::ClassFolders)
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
    options: DecodeOptions,
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

    /// Whether to leave out images that cannot be read and list them in the report (default:
    /// no). Every image is decoded once for it. A folder that cannot be listed stays an error.
    pub fn skip_unreadable(mut self, skip: bool) -> Self {
        self.skip_unreadable = skip;
        self
    }

    /// How the images are decoded: how large they may be, and whether they are turned.
    pub fn decode_options(mut self, options: DecodeOptions) -> Self {
        self.options = options;
        self
    }

    /// Lists the folder, and looks at the files if that was asked for. The beginning of each is
    /// read to see whether it asks to be turned, unless it will be; one warning counts those
    /// that do.
    ///
    /// # Errors
    /// If the folder is missing or is a file, holds no image, a class holds none, a folder cannot be
    /// listed, a file cannot be read and is not to be skipped, or (with [`verify`](Self::verify)) a
    /// file cannot be decoded.
    pub fn open(self) -> Result<ImageFolder> {
        self.options.validate()?;
        let mut scan = scan(&self.root, self.skip_unreadable)?;
        let has_classes = match self.labels {
            Labels::ClassFolders => true,
            Labels::Ignored => false,
            Labels::Detect => {
                retain_folders_with_images(&self.root, &mut scan);
                scan.folders.len() >= 2
            }
        };
        let mut listing = Listing {
            root: self.root.clone(),
            options: self.options,
            ..Listing::default()
        };
        if has_classes {
            listing.add_with_classes(scan, self.labels == Labels::ClassFolders)?;
        } else {
            (listing.paths, listing.report) = (scan.images, scan.report);
        }
        listing.check()?;
        if self.verify || self.skip_unreadable {
            listing.check_images(self.skip_unreadable)?;
        }
        if !listing.report.is_clean() {
            tracing::warn!(folder = %self.root.display(), "{}", listing.report);
        }
        if !self.options.apply_orientation {
            listing.warn_of_orientations();
        }
        Ok(ImageFolder {
            digests: Arc::new(FileDigests::new(listing.paths.len())),
            inner: Arc::new(listing),
        })
    }
}

impl ImageFolder {
    /// Opens a folder of class folders.
    ///
    /// # Errors
    /// If the folder is missing, has no class folders, a class has no images, or the names of two
    /// differ in their Unicode form alone.
    pub fn labelled(root: impl Into<PathBuf>) -> Result<Self> {
        Self::builder(root).labels(Labels::ClassFolders).open()
    }

    /// Opens a folder of images without using labels; folders inside are searched
    /// too, class folders or not.
    ///
    /// # Errors
    /// If the folder is missing or holds no image.
    pub fn unlabelled(root: impl Into<PathBuf>) -> Result<Self> {
        Self::builder(root).labels(Labels::Ignored).open()
    }

    /// Opens a folder with labels if it looks as if it had them; see [`Labels::Detect`].
    ///
    /// # Errors
    /// If the folder is missing or holds no image.
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
            options: DecodeOptions::default(),
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

    /// The same images without their labels.
    pub fn without_labels(&self) -> Self {
        let listing = Listing {
            labels: Vec::new(),
            classes: Vec::new(),
            ..(*self.inner).clone()
        };
        Self {
            inner: Arc::new(listing),
            digests: self.digests.clone(),
        }
    }

    /// Whether all images have labels.
    pub fn is_labelled(&self) -> bool {
        let labels = &self.inner.labels;
        !labels.is_empty() && labels.iter().all(Option::is_some)
    }

    /// What was left out.
    pub fn report(&self) -> &ScanReport {
        &self.inner.report
    }

    pub(crate) fn path(&self, index: usize) -> Result<&PathBuf> {
        let (path, len) = (self.inner.paths.get(index), self.len());
        path.ok_or(Error::Index { index, len })
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
        *self.inner.labels.get(index)?
    }

    fn name(&self, index: usize) -> String {
        match self.inner.paths.get(index) {
            Some(path) => relative_name(&self.inner.root, path),
            None => format!("image {index}"),
        }
    }

    fn decode(&self, index: usize) -> Result<DecodedImage> {
        let path = self.path(index)?;
        self.digests.check(index, path)?;
        decode_file_with(path, &self.inner.options)
    }

    fn content_digest(&self, index: usize) -> Result<[u8; 32]> {
        let digest = self.digests.of(index, self.path(index)?)?;
        if !self.inner.options.apply_orientation {
            return Ok(digest);
        }
        // The same file gives other pixels where it is turned.
        let turned = Sha256::new_with_prefix(digest).chain_update("apply_orientation");
        Ok(turned.finalize().into())
    }
}

/// The folder, of those directly inside `root`, that a path lies in.
fn class_of(root: &Path, folders: &[PathBuf], path: &Path) -> Option<usize> {
    let first = path.strip_prefix(root).ok()?.iter().next();
    let search = folders.binary_search_by(|folder| folder.file_name().cmp(&first));
    search.ok()
}

/// Leaves those of the folders inside `root` that hold images, anywhere below.
fn retain_folders_with_images(root: &Path, scan: &mut Scan) {
    let mut hold_images = vec![false; scan.folders.len()];
    for path in &scan.images {
        if let Some(class) = class_of(root, &scan.folders, path) {
            hold_images[class] = true;
        }
    }
    let mut hold_images = hold_images.into_iter();
    scan.folders.retain(|_| hold_images.next() == Some(true));
}

impl Listing {
    /// Adds the images with their class folders. Those directly in the root are left out if
    /// labels are required.
    fn add_with_classes(&mut self, scan: Scan, labels_required: bool) -> Result<()> {
        if scan.folders.is_empty() {
            let reason = "no class folders here; labelled images lie in one folder per class \
                          (<folder>/<class>/<image>)";
            return Err(Error::folder(&self.root, reason));
        }
        self.report = scan.report;
        for path in scan.images {
            // Labels count folders, of which there are far fewer than 2^32.
            let label = class_of(&self.root, &scan.folders, &path).map(|class| class as u32);
            if label.is_none() && labels_required {
                self.report.outside.push(path);
                continue;
            }
            if label.is_none() {
                self.report.unlabelled.push(path.clone());
            }
            self.paths.push(path);
            self.labels.push(label);
        }
        let folders = scan.folders.iter();
        self.classes = folders
            .map(|folder| relative_name(&self.root, folder))
            .collect();
        self.check_class_names()
    }

    /// That no two classes have one name in two Unicode forms: tables and class maps could mean either.
    fn check_class_names(&self) -> Result<()> {
        let mut spellings = FirstSpellings::default();
        for class in &self.classes {
            if let Some(forms) = spellings.other_form(class) {
                return Err(Error::folder(&self.root, format!("two classes: {forms}")));
            }
        }
        warn_of_class_names(&self.root, &self.classes);
        Ok(())
    }

    /// Says how many images ask to be turned and are not.
    fn warn_of_orientations(&mut self) {
        let images = self.paths.par_iter();
        let oriented = images.filter(|path| asks_to_be_turned(path)).cloned();
        self.report.oriented = oriented.collect();
        let oriented = &self.report.oriented;
        if !oriented.is_empty() {
            tracing::warn!(
                folder = %self.root.display(),
                "{} of {} images ask to be turned by their orientation tag and are taken as they \
                 are stored, as TensorFlow takes them ({}); apply_orientation turns them",
                oriented.len(),
                self.paths.len(),
                first_few(oriented),
            );
        }
    }

    /// Fails if there are no images, or none of a class.
    fn check(&self) -> Result<()> {
        if self.report.unlabelled.is_empty() {
            let labels = self.labels.iter().flatten().copied();
            let counts = count_labels(self.classes.len(), labels);
            if let Some((class, _)) = self.classes.iter().zip(counts).find(|&(_, n)| n == 0) {
                let path = self.root.join(class);
                let details = why_empty(&path, &self.report.below(&path));
                let reason = format!("class '{class}' has no images; {details}");
                return Err(Error::folder(path, reason));
            }
        }
        if self.paths.is_empty() {
            let (formats, details) = (readable_formats(), why_empty(&self.root, &self.report));
            let reason = format!("no images here ({formats} are read); {details}");
            return Err(Error::folder(&self.root, reason));
        }
        Ok(())
    }

    /// Decodes every image. Those that fail are an error, or leave the list.
    fn check_images(&mut self, skip: bool) -> Result<()> {
        let decode = |path| decode_file_with(path, &self.options).err();
        let decoded = self.paths.par_iter().map(decode);
        let failures: Vec<Option<Error>> = decoded.collect();
        let mut kept = Vec::new();
        for (index, failure) in failures.into_iter().enumerate() {
            match failure {
                None => kept.push(index),
                Some(error) if !skip => return Err(error),
                Some(error) => {
                    let reason = match error {
                        Error::Unreadable { reason, .. } => reason,
                        other => other.to_string(),
                    };
                    let path = self.paths[index].clone();
                    self.report.unreadable.push((path, reason));
                }
            }
        }
        self.paths = kept.iter().map(|&i| self.paths[i].clone()).collect();
        if !self.labels.is_empty() {
            self.labels = kept.iter().map(|&i| self.labels[i]).collect();
        }
        self.check()
    }
}
