//! Walking folders: which files are there, in a fixed order.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// File name endings of the formats that are read.
const EXTENSIONS: [&str; 7] = ["jpg", "jpeg", "jpe", "png", "tif", "tiff", "bmp"];

/// Nested folders that are followed before a loop of links is assumed.
const MAX_DEPTH: usize = 32;

/// What was left out of a folder, and why.
///
/// Printed, it is one line that names the first few files of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanReport {
    /// Image files of zero bytes.
    pub empty: Vec<PathBuf>,
    /// Files that are not images by their name's ending; hidden files are not listed.
    pub ignored: Vec<PathBuf>,
    /// Images that cannot be read, with the reason, if skipping them was asked for.
    pub unreadable: Vec<(PathBuf, String)>,
}

impl ScanReport {
    /// Whether nothing was left out.
    pub fn is_clean(&self) -> bool {
        self.empty.is_empty() && self.ignored.is_empty() && self.unreadable.is_empty()
    }
}

impl fmt::Display for ScanReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return write!(f, "no file was left out");
        }
        let unreadable: Vec<PathBuf> = self.unreadable.iter().map(|(p, _)| p.clone()).collect();
        let kinds = [
            ("empty", &self.empty),
            ("unreadable", &unreadable),
            ("of another type", &self.ignored),
        ];
        let mut separator = "";
        for (kind, paths) in kinds.iter().filter(|(_, paths)| !paths.is_empty()) {
            const SHOWN: usize = 3;
            let shown: Vec<String> = paths
                .iter()
                .take(SHOWN)
                .map(|path| path.display().to_string())
                .collect();
            let more = if paths.len() > SHOWN { ", ..." } else { "" };
            let files = if paths.len() == 1 { "file" } else { "files" };
            write!(
                f,
                "{separator}left out {} {files} {kind} ({}{more})",
                paths.len(),
                shown.join(", ")
            )?;
            separator = "; ";
        }
        Ok(())
    }
}

/// The visible entries of a folder.
pub(super) struct Entries {
    pub(super) folders: Vec<PathBuf>,
    pub(super) files: Vec<PathBuf>,
}

/// Lists a folder without its hidden entries, sorted by name. Links are followed.
pub(super) fn entries(folder: &Path) -> Result<Entries> {
    let fail = |source| Error::io(folder, source);
    let mut found = Entries {
        folders: Vec::new(),
        files: Vec::new(),
    };
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if is_hidden(&path) {
            continue;
        }
        // `is_dir` is false for a dangling link, which is then reported by name
        // when its size is asked for.
        if path.is_dir() {
            found.folders.push(path);
        } else {
            found.files.push(path);
        }
    }
    found.folders.sort();
    found.files.sort();
    Ok(found)
}

/// Adds the non-empty image files below `folder`, sorted, to `images`.
pub(super) fn collect_images(
    folder: &Path,
    report: &mut ScanReport,
    images: &mut Vec<PathBuf>,
) -> Result<()> {
    collect_below(folder, 0, report, images)
}

fn collect_below(
    folder: &Path,
    depth: usize,
    report: &mut ScanReport,
    images: &mut Vec<PathBuf>,
) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep {
            path: folder.to_path_buf(),
            limit: MAX_DEPTH,
        });
    }
    let Entries { folders, files } = entries(folder)?;
    for path in files {
        if !has_image_extension(&path) {
            report.ignored.push(path);
            continue;
        }
        let metadata = std::fs::metadata(&path).map_err(|source| Error::io(&path, source))?;
        if metadata.len() == 0 {
            report.empty.push(path);
        } else {
            images.push(path);
        }
    }
    for inner in folders {
        collect_below(&inner, depth + 1, report, images)?;
    }
    Ok(())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

pub(super) fn has_image_extension(path: &Path) -> bool {
    path.extension()
        .and_then(OsStr::to_str)
        .is_some_and(|ending| {
            EXTENSIONS
                .iter()
                .any(|known| known.eq_ignore_ascii_case(ending))
        })
}

/// Fails unless `folder` is a folder.
pub(super) fn check_folder(folder: &Path) -> Result<()> {
    match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(Error::NotAFolder(folder.to_path_buf())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::MissingFolder(folder.to_path_buf()))
        }
        Err(source) => Err(Error::io(folder, source)),
    }
}

/// The path below `root` with `/` between its parts.
pub(super) fn relative_name(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = below.iter().map(OsStr::to_string_lossy).collect();
    parts.join("/")
}
