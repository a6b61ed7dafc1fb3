//! Names that are found whatever their Unicode form.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};
use crate::forms::{describe_forms, normalized_name};

/// Writes names that differ only in their form as the first of them is written, so that they are
/// equal from then on.
///
/// ```
/// let mut spellings = simclr_files::FirstSpellings::default();
/// assert_eq!(spellings.of("Ko\u{308}ln"), "Ko\u{308}ln");
/// assert_eq!(spellings.of("K\u{f6}ln"), "Ko\u{308}ln");
/// ```
#[derive(Debug, Clone, Default)]
pub struct FirstSpellings {
    /// By normalized name.
    first: HashMap<String, String>,
}

impl FirstSpellings {
    /// The first spelling of a name.
    pub fn of(&mut self, name: &str) -> String {
        if name.is_ascii() {
            return name.to_owned();
        }
        let key = normalized_name(name).into_owned();
        self.first
            .entry(key)
            .or_insert_with(|| name.to_owned())
            .clone()
    }

    /// What is wrong with a name that must not be one before it in another form
    /// ([`describe_forms`]).
    pub fn other_form(&mut self, name: &str) -> Option<String> {
        let first = self.of(name);
        (first != name).then(|| describe_forms(&first, name))
    }
}

/// Finds files by names that may be written in another form than on the disk. A folder is listed
/// once, and only for names beyond ASCII.
#[derive(Debug, Default)]
pub struct FileFinder {
    /// The names in each folder, by normalized name.
    folders: HashMap<PathBuf, HashMap<String, Vec<String>>>,
}

impl FileFinder {
    /// The path of the file that `name`, with `/` between its parts, means in `folder`. What is not
    /// there keeps its name: opening it says so.
    ///
    /// # Errors
    /// [`Error::SameName`] if two files, or two folders on the way, have this name in two forms.
    pub fn find(&mut self, folder: &Path, name: &str) -> Result<PathBuf> {
        if name.is_ascii() {
            return Ok(folder.join(name));
        }
        let mut path = folder.to_owned();
        for part in Path::new(name).components() {
            match part {
                Component::Normal(part) => {
                    let part = part.to_string_lossy();
                    let found = self.find_in(&path, &part)?;
                    path.push(found.unwrap_or(part.into_owned()));
                }
                other => path.push(other),
            }
        }
        Ok(path)
    }

    /// What a name in a folder is on the disk.
    fn find_in(&mut self, folder: &Path, name: &str) -> Result<Option<String>> {
        if name.is_ascii() {
            return Ok(None);
        }
        if !self.folders.contains_key(folder) {
            self.folders.insert(folder.to_owned(), names_in(folder));
        }
        let names = self.folders.get(folder);
        let names = names.and_then(|names| names.get(&*normalized_name(name)));
        match names.map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some([only]) => Ok(Some(only.clone())),
            Some([first, second, ..]) => Err(Error::SameName {
                folder: folder.to_owned(),
                first: first.clone(),
                second: second.clone(),
            }),
        }
    }
}

/// The names beyond ASCII in a folder, by normalized name. There are none in one that cannot be
/// listed: its files may be opened all the same.
fn names_in(folder: &Path) -> HashMap<String, Vec<String>> {
    // A relative path of one part has an empty folder.
    let is_here = folder.as_os_str().is_empty();
    let listed = if is_here { Path::new(".") } else { folder };
    let entries = std::fs::read_dir(listed).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !name.is_ascii()).collect();
    // For messages that do not depend on the file system's order.
    names.sort();
    let mut by_name: HashMap<String, Vec<String>> = HashMap::new();
    for name in names {
        let key = normalized_name(&name).into_owned();
        by_name.entry(key).or_default().push(name);
    }
    by_name
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    const COMPOSED: &str = "K\u{f6}ln";
    const DECOMPOSED: &str = "Ko\u{308}ln";

    #[test]
    fn a_file_is_found_by_either_form() {
        for (written, on_disk) in [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)] {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join(on_disk);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(format!("{on_disk}.png")), "here").unwrap();
            let mut finder = FileFinder::default();
            for name in [
                format!("{written}/{written}.png"),
                format!("{written}/./../{written}/{written}.png"),
            ] {
                let found = finder.find(dir.path(), &name).unwrap();
                assert_eq!(fs::read_to_string(found).unwrap(), "here");
            }
            let absolute = format!("{}/{written}", dir.path().display());
            assert!(finder.find(Path::new("x"), &absolute).unwrap().is_dir());
            // Its own name, for the message that it is not there.
            let missing = format!("{written}-2.png");
            let found = finder.find(dir.path(), &missing).unwrap();
            assert_eq!(found, dir.path().join(missing));
        }
        let found = FileFinder::default().find(Path::new(""), "a/b.png");
        assert_eq!(found.unwrap(), Path::new("a/b.png"));
    }

    // Elsewhere the file system takes the two for one file.
    #[cfg(target_os = "linux")]
    #[test]
    fn two_files_of_one_name_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in [COMPOSED, DECOMPOSED] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let error = FileFinder::default().find(dir.path(), COMPOSED);
        let error = error.unwrap_err().to_string();
        let expected = format!(
            "{}: {DECOMPOSED} (decomposed, NFD) and {COMPOSED} (composed, NFC) differ only in the \
             Unicode form of their letters; rename one of them",
            dir.path().display()
        );
        assert_eq!(error, expected);
    }
}
