//! Walking folders: which files are there, in a fixed order.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::report::ScanReport;
use crate::decode::has_image_extension;
use crate::error::{Error, Result};

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
/// over. What cannot be read is listed as such if it is to be skipped, and else an error.
pub(super) fn scan(root: &Path, skip_unreadable: bool) -> Result<Scan> {
    check_folder(root)?;
    let mut result = Scan::default();
    let mut hidden = Vec::new();
    let entries = WalkDir::new(root)
        .min_depth(1)
        .follow_links(true)
        .sort_by_key(|entry| (entry.file_type().is_dir(), entry.file_name().to_owned()))
        .into_iter()
        .filter_entry(|entry| {
            let is_hidden = entry.depth() > 0 && is_hidden(entry.path());
            if is_hidden && looks_like_images(entry.path()) {
                hidden.push(entry.path().to_path_buf());
            }
            !is_hidden
        });
    for entry in entries {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {
                if entry.depth() == 1 {
                    result.folders.push(entry.into_path());
                }
            }
            Ok(entry) => result.add_file(entry.into_path()),
            Err(error) => result.add_failure(root, &error),
        }
    }
    result.report.hidden = hidden;
    let unreadable = &result.report.unreadable;
    // A class folder that cannot be read is no class without images.
    result
        .folders
        .retain(|folder| unreadable.iter().all(|(path, _)| path != folder));
    match unreadable.as_slice() {
        [(path, reason), others @ ..] if !skip_unreadable => {
            let more = match others.len() {
                0 => String::new(),
                count => format!("; {count} more cannot be read either"),
            };
            Err(Error::folder(path, format!("{reason}{more}")))
        }
        _ => Ok(result),
    }
}

impl Scan {
    fn add_file(&mut self, path: PathBuf) {
        if !has_image_extension(&path) {
            return self.report.ignored.push(path);
        }
        // Of a link, the file that it leads to.
        match std::fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => {
                let reason = "not a regular file".to_owned();
                self.report.unreadable.push((path, reason));
            }
            Ok(metadata) if metadata.len() == 0 => self.report.empty.push(path),
            Ok(_) => self.images.push(path),
            Err(error) => self.report.unreadable.push((path, error.to_string())),
        }
    }

    fn add_failure(&mut self, root: &Path, error: &walkdir::Error) {
        let path = error.path().unwrap_or(root).to_path_buf();
        let is_dangling = error.loop_ancestor().is_none() && path.is_symlink();
        let reason = match (error.loop_ancestor(), error.io_error()) {
            (Some(ancestor), _) => format!("this link leads back to {}", ancestor.display()),
            (None, _) if is_dangling => match std::fs::read_link(&path) {
                Ok(target) => format!("this link leads to nothing ({})", target.display()),
                Err(error) => error.to_string(),
            },
            (None, Some(error)) => error.to_string(),
            (None, None) => "cannot be walked".into(),
        };
        if is_dangling && is_hidden(&path) {
            return;
        }
        // Links that lead nowhere matter if their names are those of images.
        if is_dangling && !has_image_extension(&path) {
            self.report.ignored.push(path);
        } else {
            self.report.unreadable.push((path, reason));
        }
    }
}

/// Whether a hidden file or folder may be taken for images: files named as such, and what
/// macOS adds to archives. Others, such as those of version control, nobody misses.
fn looks_like_images(path: &Path) -> bool {
    has_image_extension(path) || path.file_name() == Some(OsStr::new(MACOS_ARCHIVE))
}

/// The folder of macOS's own data about the files in an archive, hidden files all of them.
const MACOS_ARCHIVE: &str = "__MACOSX";

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name == MACOS_ARCHIVE || name.as_encoded_bytes().starts_with(b".")
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
