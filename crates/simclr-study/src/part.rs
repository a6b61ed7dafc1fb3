//! One study by several processes, each of which computes a part of it.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use simclr_files::{Error as FileError, read_json, write_json};
use simclr_train::run::RunFolder;

use crate::error::{Error, Result};

const FINISHED: &str = "part.json";
const LOCK: &str = "parts.lock";
/// In the folder of the whole from the first file that is moved there to the end of its report.
const JOINING: &str = "parts.json";
/// More parts than any cluster has tasks.
const MOST_PARTS: usize = 10_000;

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
            let is_part = (1..=count).contains(&index) && count <= MOST_PARTS;
            is_part.then_some((index, count))
        });
        let (index, count) = numbers.ok_or_else(|| {
            Error::setting(
                "part of a study",
                format!("I/N with I from 1 to N, such as 2/8, and N at most {MOST_PARTS}"),
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
                reason: format!(
                    "belongs to a study that is whole; open it without part {self}, or take another folder"
                ),
            });
        }
        Ok(())
    }

    /// Fails if another part in the folder of the whole was begun with other settings or images, on
    /// another device or with other instructions: the two could not be put together.
    ///
    /// # Errors
    /// [`simclr_train::Error::RunDiffers`] with what the other part has, and this one.
    pub fn check_others(&self, whole: &Path) -> Result<()> {
        let own = self.dir(whole);
        let others = self.folders(whole).into_iter();
        others
            .filter(|other| *other != own && other.is_dir())
            .try_for_each(|other| check_same(&other, &own))
    }

    /// Records that this part is finished. If it is the last one, the files of all parts are
    /// moved into the folder of the whole study, which can then be opened there without a part
    /// and finds everything on record. Returns `None` if other parts are not finished, or another
    /// process has put all together.
    ///
    /// # Errors
    /// Parts that do not belong to one study, of which nothing is moved then; a file that cannot be
    /// read, written or moved: what was moved already stays, and [`resume`](Self::resume) goes on.
    pub fn finish(&self, whole: &Path) -> Result<Option<JoinedParts>> {
        write_json(&self.dir(whole).join(FINISHED), self)?;
        // Another part may be looking at this moment which ones are finished.
        let lock = lock(whole)?;
        let folders = self.folders(whole);
        for (number, dir) in folders.iter().enumerate() {
            let part = self.read(&dir.join(FINISHED), number + 1)?;
            if part.is_none_or(|part| part.count != self.count || part.index != number + 1) {
                return Ok(None);
            }
        }
        if let [first, others @ ..] = folders.as_slice() {
            let mut others = others.iter();
            others.try_for_each(|other| check_same(first, other))?;
        }
        write_json(&whole.join(JOINING), self)?;
        self.join(whole, lock).map(Some)
    }

    /// Goes on with putting the parts together where a [`finish`](Self::finish) was interrupted at
    /// that, or what should have followed it was. `None` if there is nothing of this kind.
    ///
    /// # Errors
    /// A study in another number of parts; a file that cannot be read, written or moved.
    pub fn resume(&self, whole: &Path) -> Result<Option<JoinedParts>> {
        let path = whole.join(JOINING);
        if !path.exists() {
            return Ok(None);
        }
        // Another process may be at it, which removes the file at the end.
        let lock = lock(whole)?;
        let Some(begun) = self.read(&path, self.index)? else {
            return Ok(None);
        };
        if begun.count != self.count {
            return Err(Error::StudyFile {
                path,
                reason: format!("is of a study in {} parts, not {}", begun.count, self.count),
            });
        }
        self.join(whole, lock).map(Some)
    }

    /// A file in which a part is written down; `index` is one that it may have.
    fn read(&self, path: &Path, index: usize) -> Result<Option<Self>> {
        let (index, count) = (index, self.count);
        let advice = format!(
            "the parts are not lost: write {{\"index\": {index}, \"count\": {count}}} into the file, and the \
             same command goes on"
        );
        Ok(read_json(path).map_err(FileError::advise(advice))?)
    }

    fn join(&self, whole: &Path, lock: File) -> Result<JoinedParts> {
        for dir in self.folders(whole).iter().filter(|dir| dir.exists()) {
            move_into(dir, whole)?;
            fs::remove_dir_all(dir).map_err(Error::io(dir))?;
        }
        Ok(JoinedParts {
            record: whole.join(JOINING),
            _lock: lock,
        })
    }

    /// The folders of all parts.
    fn folders(&self, whole: &Path) -> Vec<PathBuf> {
        let parts = (1..=self.count).map(|index| Self { index, ..*self });
        parts.map(|part| part.dir(whole)).collect()
    }
}

/// The parts of a study in the folder of the whole, which no other process touches as long as this
/// lives. Until [`close`](Self::close), [`Part::resume`] finds that there is more to do.
#[derive(Debug)]
pub struct JoinedParts {
    record: PathBuf,
    _lock: File,
}

impl JoinedParts {
    /// Records that nothing is left to do: the study has been reported on.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub fn close(self) -> Result<()> {
        fs::remove_file(&self.record).map_err(Error::io(&self.record))
    }
}

/// Waits for the lock on the parts of a study.
fn lock(whole: &Path) -> Result<File> {
    let path = whole.join(LOCK);
    let file = File::create(&path).map_err(Error::io(&path))?;
    file.lock().map_err(Error::io(&path))?;
    Ok(file)
}

/// Fails if two parts, or what both have in a folder below, are not of one study.
fn check_same(recorded: &Path, now: &Path) -> Result<()> {
    if RunFolder::is_recorded_in(recorded) && RunFolder::is_recorded_in(now) {
        let differences = RunFolder::differences(recorded, now)?;
        if !differences.is_empty() {
            let dir = recorded.to_owned();
            return Err(simclr_train::Error::RunDiffers { dir, differences }.into());
        }
    }
    for entry in fs::read_dir(recorded).map_err(Error::io(recorded))? {
        let entry = entry.map_err(Error::io(recorded))?;
        let (below, other) = (entry.path(), now.join(entry.file_name()));
        if below.is_dir() && other.is_dir() {
            check_same(&below, &other)?;
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use simclr_train::run::RunFacts;

    use super::*;

    /// A part of a study of these settings with one result.
    fn part(text: &str, whole: &Path, epochs: usize) -> Part {
        let part: Part = text.parse().unwrap();
        let dir = part.dir(whole);
        let config = serde_json::json!({ "epochs": epochs });
        RunFolder::open(&dir, &config, &RunFacts::default()).unwrap();
        fs::create_dir_all(dir.join("cells")).unwrap();
        fs::write(dir.join(format!("cells/{}.json", part.index)), text).unwrap();
        part
    }

    fn cells(whole: &Path) -> Vec<bool> {
        let path = |index| whole.join(format!("cells/{index}.json"));
        (1..=2).map(|index| path(index).exists()).collect()
    }

    #[test]
    fn parts_that_differ_are_refused_before_anything_is_moved() {
        let whole = tempfile::tempdir().unwrap();
        let whole = whole.path();
        let (one, two) = (part("1/2", whole, 1), part("2/2", whole, 2));
        let error = two.check_others(whole).unwrap_err().to_string();
        assert!(error.contains("epochs was 1, is 2"), "{error}");
        assert!(two.finish(whole).unwrap().is_none());
        let error = one.finish(whole).unwrap_err().to_string();
        assert!(error.contains("epochs was 1, is 2"), "{error}");
        assert_eq!(cells(whole), [false, false]);
        assert_eq!(cells(&one.dir(whole)), [true, false]);
        assert!(one.resume(whole).unwrap().is_none());
    }

    #[test]
    fn joining_goes_on_where_it_was_interrupted_until_it_is_closed() {
        let whole = tempfile::tempdir().unwrap();
        let whole = whole.path();
        let (one, two) = (part("1/2", whole, 1), part("2/2", whole, 1));
        one.check_others(whole).unwrap();
        assert!(one.finish(whole).unwrap().is_none());
        // The process ends between the parts: what a kill leaves.
        write_json(&two.dir(whole).join(FINISHED), &two).unwrap();
        write_json(&whole.join(JOINING), &two).unwrap();
        move_into(&one.dir(whole), whole).unwrap();
        fs::remove_dir_all(one.dir(whole)).unwrap();

        let error = "2/3".parse::<Part>().unwrap().resume(whole).unwrap_err();
        assert!(error.to_string().contains("in 2 parts, not 3"), "{error}");
        // The record is damaged; its message says what has to stand in it.
        let record = whole.join(JOINING);
        fs::write(&record, "{").unwrap();
        let error = two.resume(whole).unwrap_err().to_string();
        assert!(error.starts_with(&record.display().to_string()), "{error}");
        let (_, content) = error.split_once("write ").unwrap();
        fs::write(&record, content.split_once(" into").unwrap().0).unwrap();
        for _ in 0..2 {
            let joined = two.resume(whole).unwrap();
            assert!(joined.is_some());
            assert_eq!(cells(whole), [true, true]);
            assert!(!two.dir(whole).exists());
        }
        two.resume(whole).unwrap().unwrap().close().unwrap();
        assert!(two.resume(whole).unwrap().is_none());
        assert!(two.check(whole).is_err());
    }

    #[test]
    fn a_part_that_ends_while_another_looks_is_not_forgotten() {
        let whole = tempfile::tempdir().unwrap();
        let whole = whole.path();
        let (one, two) = (part("1/2", whole, 1), part("2/2", whole, 1));
        assert!(one.finish(whole).unwrap().is_none());
        let looking = lock(whole).unwrap();
        let joined = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| two.finish(whole).unwrap().is_some());
            std::thread::sleep(std::time::Duration::from_millis(50));
            drop(looking);
            waiting.join().unwrap()
        });
        assert!(joined);
    }

    #[test]
    fn no_study_has_more_parts_than_a_cluster_has_tasks() {
        assert!("10000/10000".parse::<Part>().is_ok());
        let error = "1/99999999999".parse::<Part>().unwrap_err().to_string();
        assert!(error.contains("N at most 10000"), "{error}");
    }
}
