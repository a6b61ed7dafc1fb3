//! Walking folders: which files are there, in a fixed order.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::decode::has_image_extension;
use crate::error::{Error, Result};

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

    /// What was left out below a folder.
    pub(super) fn below(&self, folder: &Path) -> Self {
        let mut report = self.clone();
        report.empty.retain(|path| path.starts_with(folder));
        report.ignored.retain(|path| path.starts_with(folder));
        let unreadable = &mut report.unreadable;
        unreadable.retain(|(path, _)| path.starts_with(folder));
        report
    }
}

impl fmt::Display for ScanReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        if self.is_clean() {
            return write!(f, "no file was left out");
        }
        let unreadable: Vec<PathBuf> = self.unreadable.iter().map(|(p, _)| p.clone()).collect();
        let mut separator = "";
        for (kind, paths) in [
            ("empty", &self.empty),
            ("unreadable", &unreadable),
            ("of another type", &self.ignored),
        ] {
            if paths.is_empty() {
                continue;
            }
            let (shown, count) = (paths.iter().take(SHOWN), paths.len());
            let shown: Vec<String> = shown.map(|path| path.display().to_string()).collect();
            let more = if count > SHOWN { ", ..." } else { "" };
            let files = if count == 1 { "file" } else { "files" };
            write!(f, "{separator}left out {count} {files} {kind} ")?;
            write!(f, "({}{more})", shown.join(", "))?;
            separator = "; ";
        }
        Ok(())
    }
}

/// What lies below a folder.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The visible folders directly inside, sorted.
    pub(super) folders: Vec<PathBuf>,
    /// The image files that are not empty: of each folder first its files, sorted, then
    /// what lies in its folders.
    pub(super) images: Vec<PathBuf>,
    pub(super) report: ScanReport,
}

/// Lists what lies below `root`. Links are followed; hidden files and folders are passed
/// over.
pub(super) fn scan(root: &Path) -> Result<Scan> {
    check_folder(root)?;
    let mut result = Scan::default();
    let entries = WalkDir::new(root)
        .min_depth(1)
        .follow_links(true)
        .sort_by_key(|entry| (entry.file_type().is_dir(), entry.file_name().to_owned()))
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry.path()));
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => match error.path().filter(|_| error.loop_ancestor().is_none()) {
                Some(link) if link.is_symlink() && is_hidden(link) => continue,
                // A link that leads nowhere is an error if its name is that of an image.
                Some(link) if link.is_symlink() && !has_image_extension(link) => {
                    result.report.ignored.push(link.to_path_buf());
                    continue;
                }
                _ => return Err(walk_error(root, error)),
            },
        };
        let path = entry.path();
        if entry.file_type().is_dir() {
            if entry.depth() == 1 {
                result.folders.push(path.to_path_buf());
            }
        } else if !has_image_extension(path) {
            result.report.ignored.push(path.to_path_buf());
        } else {
            let metadata = entry.metadata().map_err(|error| walk_error(root, error))?;
            let is_empty = metadata.len() == 0;
            let list = if is_empty {
                &mut result.report.empty
            } else {
                &mut result.images
            };
            list.push(path.to_path_buf());
        }
    }
    Ok(result)
}

fn walk_error(root: &Path, error: walkdir::Error) -> Error {
    let path = error.path().unwrap_or(root).to_path_buf();
    if let Some(ancestor) = error.loop_ancestor() {
        let reason = format!("this link leads back to {}", ancestor.display());
        return Error::folder(path, reason);
    }
    let unknown = || io::Error::other("cannot be walked");
    Error::io(path, error.into_io_error().unwrap_or_else(unknown))
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Fails unless `folder` is a folder.
fn check_folder(folder: &Path) -> Result<()> {
    match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => {
            let reason = "this is a file, but a folder of images was expected";
            Err(Error::folder(folder, reason))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::folder(folder, "there is no such folder"))
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
