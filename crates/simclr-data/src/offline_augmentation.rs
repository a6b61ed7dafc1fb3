//! A folder of images, and more of each, in a new folder.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use simclr_augment::enlarge::{Enlargement, flipped_copies};
use simclr_augment::{Image, Stream};

use super::ImageFolder;
use crate::{Dataset, Error, Result, Seed, save_png};

/// Offline enlargement: altered copies of images, as the geology paper made of its small
/// classes. [`write`](Self::write) puts the images of a folder and their copies into a new
/// folder; [`Enlarged`](crate::Enlarged) makes the same copies whenever they are asked for.
///
/// Enlarge the training part of a split and not what you split: copies of a training image
/// among the test images make the test too kind. [`DuplicateSearch`](crate::DuplicateSearch)
/// finds mirrored copies that have leaked. The copies' file names begin with the
/// original's, so a pattern for [`Groups`](crate::Groups) that matches one matches the
/// other.
///
/// ```no_run
/// use simclr_data::{FolderEnlargement, ImageFolder};
///
/// let train = ImageFolder::labelled("train/")?;
/// let enlarged = FolderEnlargement::default().write(&train, "train-enlarged/")?;
/// println!("{} images and {} copies", enlarged.originals, enlarged.copies);
/// # Ok::<(), simclr_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FolderEnlargement {
    /// Whether to add each image mirrored left-right, up-down, and both ways. Default: yes.
    pub flips: bool,
    /// How many heavier copies of each image to add. Default: 0.
    pub copies: u32,
    /// What happens to the heavier copies. Default: that of [`Enlargement`].
    pub heavier: Enlargement,
    /// The classes that get copies; the others are taken over as they are. Default: none
    /// named, which means all of them.
    pub classes: Vec<String>,
    /// The seed of the heavier copies. Default: 0.
    pub seed: Seed,
}

impl std::fmt::Display for FolderEnlargement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let flips = self
            .flips
            .then_some("mirrored left-right, up-down and both ways");
        let heavier = (self.copies > 0).then(|| {
            format!(
                "{} x blurred, equalised, turned, shifted or otherwise changed by chance (seed {})",
                self.copies, self.seed.0
            )
        });
        let parts: Vec<String> = flips.map(String::from).into_iter().chain(heavier).collect();
        match parts.is_empty() {
            true => f.write_str("no copies"),
            false => f.write_str(&parts.join("; ")),
        }
    }
}

impl Default for FolderEnlargement {
    fn default() -> Self {
        Self {
            flips: true,
            copies: 0,
            heavier: Enlargement::default(),
            classes: Vec::new(),
            seed: Seed(0),
        }
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnlargedFolder {
    /// Images taken over, byte by byte.
    pub originals: usize,
    /// Copies made.
    pub copies: usize,
}

/// What the mirrored copies are called.
const FLIPS: [&str; 3] = ["left-right", "up-down", "both-ways"];

impl FolderEnlargement {
    /// Three heavier copies of each image, and no flips.
    pub fn heavier(seed: Seed) -> Self {
        Self {
            flips: false,
            copies: 3,
            seed,
            ..Self::default()
        }
    }

    /// How many copies an image gets if its class gets any.
    pub fn copies_per_image(&self) -> usize {
        let flips = if self.flips { FLIPS.len() } else { 0 };
        flips + self.copies as usize
    }

    /// What the copy `number`, from 0, is called beside its original.
    pub(crate) fn kind(&self, number: usize) -> String {
        match (self.flips, FLIPS.get(number)) {
            (true, Some(flip)) => (*flip).to_owned(),
            (true, None) => format!("copy{}", number + 1 - FLIPS.len()),
            (false, _) => format!("copy{}", number + 1),
        }
    }

    /// All that decides what becomes of an image in its copy `number`: the flip, or the
    /// random numbers' seed and what is done with them.
    pub(crate) fn recipe(&self, index: usize, number: usize) -> String {
        let kind = self.kind(number);
        match self.flips && number < FLIPS.len() {
            true => kind,
            false => format!("{kind} {} {index} {:?}", self.seed.0, self.heavier),
        }
    }

    /// The copy `number`, from 0, of `image`, which is the image `index` of `images`.
    pub(crate) fn copy(
        &self,
        image: &Image,
        (images, index): (&dyn Dataset, usize),
        number: usize,
    ) -> Result<Image> {
        let flips = if self.flips { FLIPS.len() } else { 0 };
        let Some(heavier) = number.checked_sub(flips) else {
            let [left_right, up_down, both] = flipped_copies(image);
            return Ok(match number {
                0 => left_right,
                1 => up_down,
                _ => both,
            });
        };
        let stream = Stream::new(self.seed.0).sample(index as u64);
        let copy = self.heavier.copy(image, &stream, heavier as u32);
        copy.map_err(|source| Error::Augment {
            name: images.name(index),
            source,
        })
    }

    /// Writes the images of `folder`, under the same names, and their copies beside them,
    /// as PNG, into `out`, which must not exist.
    ///
    /// Everything is written to a temporary folder beside `out`, which gets its name at the
    /// end: `out` is complete or not there.
    ///
    /// # Errors
    /// If `out` exists, lies inside the folder or cannot be written, a class does not exist,
    /// a setting is out of range or an image cannot be read.
    pub fn write(&self, folder: &ImageFolder, out: impl AsRef<Path>) -> Result<EnlargedFolder> {
        let out = out.as_ref();
        self.check(folder)?;
        let parent = parent_of(out, folder.root())?;
        let temporary = temporary_in(&parent)?;
        let numbers = (0..folder.len()).into_par_iter();
        let copies = numbers.map(|index| self.write_image(folder, index, temporary.path()));
        let copies: Vec<usize> = copies.collect::<Result<_>>()?;
        std::fs::rename(temporary.path(), out).map_err(|source| Error::io(out, source))?;
        // It has another name now, so there is nothing left to clean up.
        let _ = temporary.keep();
        Ok(EnlargedFolder {
            originals: folder.len(),
            copies: copies.into_iter().sum(),
        })
    }

    /// Fails if a setting is out of range, or a class that is to get copies does not exist.
    pub(crate) fn check(&self, images: &dyn Dataset) -> Result<()> {
        self.heavier.validate()?;
        let known = images.class_names();
        match self.classes.iter().find(|class| !known.contains(class)) {
            None => Ok(()),
            Some(unknown) => {
                let expected = format!("among the folder's, which are: {}", known.join(", "));
                Err(Error::parameter("the class to enlarge", expected, unknown))
            }
        }
    }

    /// Whether an image gets copies.
    pub(crate) fn is_chosen(&self, images: &dyn Dataset, index: usize) -> bool {
        let label = images.label(index).map(|label| label as usize);
        let class = label.and_then(|label| images.class_names().get(label));
        self.classes.is_empty() || class.is_some_and(|class| self.classes.contains(class))
    }

    /// Takes one image over and writes its copies; returns how many.
    fn write_image(&self, folder: &ImageFolder, index: usize, out: &Path) -> Result<usize> {
        let len = folder.len();
        let path = folder
            .paths()
            .get(index)
            .ok_or(Error::Index { index, len })?;
        let place = out.join(path.strip_prefix(folder.root()).unwrap_or(path));
        if let Some(parent) = place.parent() {
            std::fs::create_dir_all(parent).map_err(|source| Error::io(parent, source))?;
        }
        std::fs::copy(path, &place).map_err(|source| Error::io(path, source))?;
        // Damaged files are found here, whether they get copies or not.
        let image = folder.decode(index)?.to_image();
        if !self.is_chosen(folder, index) {
            return Ok(0);
        }
        for number in 0..self.copies_per_image() {
            let copy = self.copy(&image, (folder, index), number)?;
            // The whole name, because `a.jpg` and `a.png` may lie side by side.
            let mut name = place.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{}.png", self.kind(number)));
            let path = place.with_file_name(name);
            if has_original(folder, &path, out) {
                return Err(Error::Exists(
                    folder.root().join(path.strip_prefix(out).unwrap_or(&path)),
                ));
            }
            save_png(&copy.to_decoded(), path)?;
        }
        Ok(self.copies_per_image())
    }
}

/// Whether an original has the name that a copy would get.
fn has_original(folder: &ImageFolder, copy: &Path, out: &Path) -> bool {
    let below = copy.strip_prefix(out).unwrap_or(copy);
    folder.root().join(below).exists()
}

/// The folder in which `out` will be, if `out` may be made there.
fn parent_of(out: &Path, source: &Path) -> Result<PathBuf> {
    if out.symlink_metadata().is_ok() {
        return Err(Error::Exists(out.to_owned()));
    }
    let parent = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let canonical = |path: &Path| path.canonicalize().map_err(|e| Error::io(path, e));
    let (parent, source) = (canonical(parent)?, canonical(source)?);
    if parent.starts_with(&source) {
        return Err(Error::parameter(
            "the folder to write to",
            format!("outside of {}", source.display()),
            out.display(),
        ));
    }
    Ok(parent)
}

fn temporary_in(parent: &Path) -> Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".enlarging.");
    // Temporary folders are private by default, but this one becomes a result that others
    // may read: the process's umask decides, as for any new folder.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    builder
        .tempdir_in(parent)
        .map_err(|source| Error::io(parent, source))
}
