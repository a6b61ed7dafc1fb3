//! One study by several processes, each of which computes a part of it.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use simclr_files::{read_json, write_json};

use crate::error::{Error, Result};

const FINISHED: &str = "part.json";
const LOCK: &str = "parts.lock";

/// The `index`-th of `count` parts of a study, such as one task of a cluster's job array.
///
/// A part has a folder of its own in the folder of the whole. It evaluates every `count`-th pair
/// of a method and a seed, self-supervision included; whichever part is finished last puts all
/// of them together. It is written `index/count`:
///
/// ```
/// use simclr_study::Part;
///
/// let part: Part = "2/8".parse()?;
/// assert_eq!(part.dir("runs/exp3".as_ref()).to_str(), Some("runs/exp3/part-2-of-8"));
/// assert!("9/8".parse::<Part>().is_err());
/// # Ok::<(), simclr_study::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    index: usize,
    count: usize,
}

impl FromStr for Part {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('/');
        let numbers = numbers.and_then(|(index, count)| {
            let (index, count) = (index.parse().ok()?, count.parse().ok()?);
            (1..=count).contains(&index).then_some((index, count))
        });
        let (index, count) = numbers.ok_or_else(|| {
            Error::setting(
                "part of a study",
                "I/N with I from 1 to N, such as 2/8",
                text,
            )
        })?;
        Ok(Self { index, count })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl Part {
    /// The folder of this part in that of the whole study.
    pub fn dir(&self, whole: &Path) -> PathBuf {
        whole.join(format!("part-{}-of-{}", self.index, self.count))
    }

    /// Whether this part has the turn of this number, counted from 0.
    pub(crate) fn has_turn(&self, number: usize) -> bool {
        number % self.count == self.index - 1
    }

    /// Fails if the folder holds a study that is whole already.
    ///
    /// # Errors
    /// [`Error::StudyFile`].
    pub fn check(&self, whole: &Path) -> Result<()> {
        let config = whole.join("config.json");
        if config.exists() && self.folders(whole).iter().all(|dir| !dir.exists()) {
            return Err(Error::StudyFile {
                path: config,
                reason: format!("belongs to a study that is whole; open it without part {self}"),
            });
        }
        Ok(())
    }

    /// Records that this part is finished. If it is the last one, the files of all parts are
    /// moved into the folder of the whole study, which can then be opened there without a part
    /// and finds everything on record. Returns whether that was done.
    ///
    /// # Errors
    /// A file that cannot be read, written or moved; what was moved already stays, and the next
    /// call goes on.
    pub fn finish(&self, whole: &Path) -> Result<bool> {
        write_json(&self.dir(whole).join(FINISHED), self)?;
        let lock = whole.join(LOCK);
        let file = File::create(&lock).map_err(Error::io(&lock))?;
        match file.try_lock() {
            Ok(()) => {}
            // Another part is putting all of them together.
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(Error::io(&lock)(error)),
        }
        let folders = self.folders(whole);
        for (number, dir) in folders.iter().enumerate() {
            let part: Option<Self> = read_json(&dir.join(FINISHED))?;
            if part.is_none_or(|part| part.count != self.count || part.index != number + 1) {
                return Ok(false);
            }
        }
        for dir in &folders {
            move_into(dir, whole)?;
        }
        for dir in &folders {
            fs::remove_dir_all(dir).map_err(Error::io(dir))?;
        }
        Ok(true)
    }

    /// The folders of all parts.
    fn folders(&self, whole: &Path) -> Vec<PathBuf> {
        let parts = (1..=self.count).map(|index| Self { index, ..*self });
        parts.map(|part| part.dir(whole)).collect()
    }
}

/// Moves what the other folder does not have yet. What both have is the same: settings, and the
/// networks that every part makes for itself.
fn move_into(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(Error::io(to))?;
    for entry in fs::read_dir(from).map_err(Error::io(from))? {
        let entry = entry.map_err(Error::io(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == FINISHED {
            continue;
        }
        if source.is_dir() {
            move_into(&source, &target)?;
        } else if !target.exists() {
            fs::rename(&source, &target).map_err(Error::io(&source))?;
        }
    }
    Ok(())
}
