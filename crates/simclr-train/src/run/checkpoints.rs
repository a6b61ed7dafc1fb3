//! Numbered checkpoint files, of which the newest are kept.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use simclr_files::{remove_leftovers, replace_atomically};

use crate::error::{Error, Result};

const PREFIX: &str = "step-";
const SUFFIX: &str = ".safetensors";
const SET_ASIDE: &str = ".set-aside";

/// A checkpoint in a run folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckpointFile {
    /// How many steps had been done when it was written.
    pub step: u64,
    /// Where it is.
    pub path: PathBuf,
}

/// The folder `checkpoints/` of a run: files named after the number of steps
/// done, `step-00000120.safetensors`. What is in them is the caller's affair.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    dir: PathBuf,
    keep: NonZeroUsize,
}

impl Checkpoints {
    /// Opens the folder, making it if needed; `keep` is how many of the newest
    /// files survive a [`save`](Self::save).
    ///
    /// # Errors
    /// [`Error::File`] if the folder cannot be made or read.
    pub fn open(dir: impl Into<PathBuf>, keep: NonZeroUsize) -> Result<Self> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
        remove_leftovers(&dir)?;
        Ok(Self { dir, keep })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the checkpoint after `step` steps is, or would be.
    pub fn path(&self, step: u64) -> PathBuf {
        self.dir.join(format!("{PREFIX}{step:08}{SUFFIX}"))
    }

    /// The checkpoints in the order of their steps. Files with other names are
    /// not looked at.
    ///
    /// # Errors
    /// [`Error::File`] if the folder cannot be read.
    pub fn list(&self) -> Result<Vec<CheckpointFile>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(Error::io(&self.dir))? {
            let path = entry.map_err(Error::io(&self.dir))?.path();
            let step = path.file_name().and_then(|name| step_of(name.to_str()?));
            if let Some(step) = step {
                found.push(CheckpointFile { step, path });
            }
        }
        found.sort();
        Ok(found)
    }

    /// Takes a checkpoint out of the list without deleting it: renames it to
    /// `step-00000120.safetensors.set-aside`.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be renamed.
    pub fn set_aside(&self, file: &CheckpointFile) -> Result<PathBuf> {
        let mut name = file.path.clone().into_os_string();
        name.push(SET_ASIDE);
        let path = PathBuf::from(name);
        fs::rename(&file.path, &path).map_err(Error::io(&file.path))?;
        Ok(path)
    }

    /// Writes the checkpoint after `step` steps and removes the oldest ones
    /// beyond the number to keep.
    ///
    /// `write` gets a temporary path in the same folder, whose file becomes
    /// the checkpoint once `write` has returned. The older files are removed
    /// only then, so there is a complete checkpoint at every moment.
    ///
    /// # Errors
    /// Whatever `write` returns (nothing is left of the new checkpoint, and
    /// the old ones stay), and [`Error::File`].
    pub fn save(
        &self,
        step: u64,
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<CheckpointFile> {
        let path = self.path(step);
        replace_atomically(&path, write)?;
        self.rotate()?;
        Ok(CheckpointFile { step, path })
    }

    fn rotate(&self) -> Result<()> {
        let files = self.list()?;
        let surplus = files.len().saturating_sub(self.keep.get());
        for old in files.into_iter().take(surplus) {
            fs::remove_file(&old.path).map_err(Error::io(&old.path))?;
        }
        Ok(())
    }
}

/// Whether a folder, which may not be there, holds checkpoints.
pub(super) fn holds_checkpoints(dir: &Path) -> bool {
    let mut names = fs::read_dir(dir).into_iter().flatten().flatten();
    names.any(|entry| entry.file_name().to_str().and_then(step_of).is_some())
}

/// The step in a checkpoint's file name. More than eight digits are fine: they
/// only mean that an alphabetical listing is no longer in order.
fn step_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let canonical = digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    canonical.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path, keep: usize) -> Checkpoints {
        Checkpoints::open(dir.join("checkpoints"), NonZeroUsize::new(keep).unwrap()).unwrap()
    }

    fn save(checkpoints: &Checkpoints, step: u64) -> CheckpointFile {
        checkpoints
            .save(step, |path| {
                fs::write(path, step.to_string()).map_err(Error::io(path))
            })
            .unwrap()
    }

    fn steps(checkpoints: &Checkpoints) -> Vec<u64> {
        let list = checkpoints.list().unwrap();
        list.into_iter().map(|file| file.step).collect()
    }

    #[test]
    fn the_newest_are_kept_by_step_not_by_name_or_age() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = open(dir.path(), 3);
        assert_eq!(checkpoints.list().unwrap(), []);
        for step in [100_000_000, 120, 0, 99_999_999, 240] {
            save(&checkpoints, step);
        }
        assert_eq!(steps(&checkpoints), [240, 99_999_999, 100_000_000]);
        let latest = checkpoints.list().unwrap().pop().unwrap();
        assert_eq!(fs::read_to_string(&latest.path).unwrap(), "100000000");
        let aside = checkpoints.set_aside(&latest).unwrap();
        assert_eq!(steps(&checkpoints), [240, 99_999_999]);
        assert_eq!(fs::read_to_string(aside).unwrap(), "100000000");
    }

    #[test]
    fn names_are_padded_and_other_files_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = open(dir.path(), 1);
        let file = save(&checkpoints, 120);
        assert!(file.path.ends_with("checkpoints/step-00000120.safetensors"));
        for name in [
            "step-12.safetensors",
            "step-00000x20.safetensors",
            "best.safetensors",
        ] {
            fs::write(checkpoints.dir().join(name), "").unwrap();
        }
        save(&checkpoints, 240);
        assert_eq!(steps(&checkpoints), [240]);
        assert!(checkpoints.dir().join("best.safetensors").exists());
        assert_eq!(fs::read_dir(checkpoints.dir()).unwrap().count(), 4);
    }

    #[test]
    fn a_failed_save_removes_nothing_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = open(dir.path(), 1);
        save(&checkpoints, 1);
        let failed = checkpoints.save(2, |path| {
            fs::write(path, "half").map_err(Error::io(path))?;
            Err(Error::io(path)(std::io::Error::other("disk full")))
        });
        assert!(failed.is_err());
        assert_eq!(steps(&checkpoints), [1]);
        assert_eq!(fs::read_dir(checkpoints.dir()).unwrap().count(), 1);
    }

    #[test]
    fn saving_a_step_again_replaces_it() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = open(dir.path(), 2);
        save(&checkpoints, 1);
        save(&checkpoints, 2);
        save(&checkpoints, 2);
        assert_eq!(steps(&checkpoints), [1, 2]);
    }
}
