use std::fs::File;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::folder::ImageFolder;
use crate::offline_augmentation::OfflineAugmentation;
use crate::save::save_png;

/// How many images [`OfflineAugmentation::write`] has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AugmentedFolder {
    /// Images taken over, byte by byte.
    pub originals: usize,
    /// Copies made.
    pub copies: usize,
}

impl OfflineAugmentation {
    /// Writes the images of `folder`, under the same names, and their copies beside them,
    /// as PNG, into `out`, which must not exist.
    ///
    /// Everything is written to a temporary folder beside `out`, which gets its name at the
    /// end: `out` is complete or not there.
    ///
    /// # Errors
    /// If `out` exists, lies inside the folder or cannot be written, a class does not exist,
    /// a setting is out of range or an image cannot be read.
    pub fn write(&self, folder: &ImageFolder, out: impl AsRef<Path>) -> Result<AugmentedFolder> {
        let out = out.as_ref();
        self.validate_for(folder)?;
        let parent = parent_of(out, folder.root())?;
        remove_leftovers(&parent)?;
        let temporary = temporary_in(&parent)?;
        // Says that it is no leftover, until it is dropped.
        let _lock = lock_folder(temporary.path());
        let numbers = (0..folder.len()).into_par_iter();
        let copies = numbers.map(|index| self.write_image(folder, index, temporary.path()));
        let copies: Vec<usize> = copies.collect::<Result<_>>()?;
        std::fs::rename(temporary.path(), out).map_err(|source| Error::io(out, source))?;
        // It has another name now, so there is nothing left to clean up.
        let _ = temporary.keep();
        Ok(AugmentedFolder {
            originals: folder.len(),
            copies: copies.into_iter().sum(),
        })
    }

    /// Copies one image and writes its altered copies; returns how many.
    fn write_image(&self, folder: &ImageFolder, index: usize, out: &Path) -> Result<usize> {
        let source = folder.path(index)?;
        let name = source.strip_prefix(folder.root()).unwrap_or(source);
        let target = out.join(name);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(|error| Error::io(parent, error))?;
        }
        std::fs::copy(source, &target).map_err(|error| Error::io(source, error))?;
        // Damaged files are found here, whether they get copies or not.
        let image = folder.decode(index)?.to_image();
        if !self.is_chosen(folder, index) {
            return Ok(0);
        }
        for number in 0..self.copies_per_image() {
            // The whole name, because `a.jpg` and `a.png` may lie side by side.
            let mut file = name.file_name().unwrap_or_default().to_owned();
            file.push(format!(".{}.png", self.suffix(number)));
            let original = folder.root().join(name).with_file_name(&file);
            if original.exists() {
                return Err(exists(original));
            }
            let copy = self.copy(&image, folder, index, number)?;
            save_png(&copy.to_decoded(), target.with_file_name(file))?;
        }
        Ok(self.copies_per_image())
    }
}

fn exists(path: impl Into<PathBuf>) -> Error {
    Error::folder(path, "this exists already, and nothing is overwritten")
}

/// The folder in which `out` will be, if `out` may be made there.
fn parent_of(out: &Path, source: &Path) -> Result<PathBuf> {
    if out.symlink_metadata().is_ok() {
        return Err(exists(out));
    }
    let parent = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let canonical = |path: &Path| path.canonicalize().map_err(|e| Error::io(path, e));
    let (parent, source) = (canonical(parent)?, canonical(source)?);
    if parent.starts_with(&source) {
        let expected = format!("outside of {}", source.display());
        let name = "the folder to write to";
        return Err(Error::setting(name, expected, out.display()));
    }
    Ok(parent)
}

/// How the names of temporary folders begin.
const PREFIX: &str = ".augmenting.";

/// Removes the temporary folders of killed processes; those of others at work are locked.
fn remove_leftovers(parent: &Path) -> Result<()> {
    let fail = |source| Error::io(parent, source);
    for entry in std::fs::read_dir(parent).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_ours && lock_folder(&entry.path()).is_some() {
            let path = entry.path();
            std::fs::remove_dir_all(&path).map_err(|source| Error::io(path, source))?;
        }
    }
    Ok(())
}

/// The operating system's lock on a folder, which goes with the process; `None` if another has
/// it, or where folders cannot be locked.
fn lock_folder(path: &Path) -> Option<File> {
    let folder = File::open(path).ok()?;
    folder.try_lock().ok().map(|()| folder)
}

fn temporary_in(parent: &Path) -> Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    // Temporary folders are private by default, but this one becomes a result that others
    // may read: the process's umask decides, as for any new folder.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let folder = builder.tempdir_in(parent);
    folder.map_err(|source| Error::io(parent, source))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_folders_of_killed_processes_go_and_those_of_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let [killed, at_work, other] = [".augmenting.killed", ".augmenting.at-work", "cores"]
            .map(|name| dir.path().join(name));
        for path in [&killed, &at_work, &other] {
            std::fs::create_dir_all(path.join("crack")).unwrap();
        }
        let _lock = lock_folder(&at_work).unwrap();
        remove_leftovers(dir.path()).unwrap();
        assert!(!killed.exists() && at_work.exists() && other.exists());
    }
}
