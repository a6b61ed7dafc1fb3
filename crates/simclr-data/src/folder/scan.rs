//! Walking folders: which files are there, in a fixed order.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::str::Utf8Chunk;

use walkdir::WalkDir;

use super::report::{ScanReport, first_few};
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
/// over. What cannot be read is listed as such if it is to be skipped, and else an error. A folder
/// that cannot be listed is always an error: nobody knows how many images it holds, or that it is
/// a whole class.
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
            Err(error) if skip_unreadable && is_closed_folder(&error) => {
                return Err(closed_folder(root, &error));
            }
            Err(error) => result.add_failure(root, &error),
        }
    }
    result.report.hidden = hidden;
    let unreadable = &result.report.unreadable;
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

/// Whether a folder cannot be listed, as one without permission. A link that leads back is none.
fn is_closed_folder(error: &walkdir::Error) -> bool {
    let is_folder = error.path().is_some_and(Path::is_dir);
    error.loop_ancestor().is_none() && is_folder
}

fn closed_folder(root: &Path, error: &walkdir::Error) -> Error {
    let reason = error
        .io_error()
        .map_or_else(String::new, |error| format!(": {error}"));
    let reason = format!(
        "this folder cannot be listed{reason}; images can be left out as unreadable, but not a \
         folder of them"
    );
    Error::folder(error.path().unwrap_or(root), reason)
}

/// Whether a hidden file or folder may be taken for images: files named as such, and what systems
/// put beside them. Others, such as those of version control, nobody misses.
fn looks_like_images(path: &Path) -> bool {
    has_image_extension(path) || is_service_folder(path)
}

/// The folders in which operating systems and network storage keep their own data, or what was
/// deleted, beside people's; those whose names begin with a dot are hidden anyway. In `__MACOSX`
/// are macOS's files of an archive, in `@eaDir` Synology's small pictures.
const SERVICE_FOLDERS: [&str; 12] = [
    "__MACOSX",
    "@eaDir",
    "#recycle",
    "#snapshot",
    "@Recycle",
    "@Recently-Snapshot",
    "$RECYCLE.BIN",
    "RECYCLER",
    "System Volume Information",
    "Network Trash Folder",
    "Temporary Items",
    "lost+found",
];

fn is_service_folder(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    let is_named = |folder: &&str| name.eq_ignore_ascii_case(folder);
    let is_service = SERVICE_FOLDERS.iter().any(is_named) || holds_lost_files(name);
    is_service && path.is_dir()
}

/// Whether a folder is one of those in which Windows puts what it finds on a damaged disc:
/// `found.000` and so on.
fn holds_lost_files(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes().split_at_checked(6);
    name.is_some_and(|(stem, number)| {
        let is_number = number.len() == 3 && number.iter().all(u8::is_ascii_digit);
        stem.eq_ignore_ascii_case(b"found.") && is_number
    })
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".") || is_service_folder(path)
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

/// What there is in a folder without images, beside what was left out of it and listed.
pub(super) fn why_empty(folder: &Path, report: &ScanReport) -> String {
    if !report.is_clean() {
        return report.to_string();
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    if paths.is_empty() {
        return "the folder is empty".into();
    }
    let first = first_few(&paths);
    format!("it holds hidden files or empty folders alone ({first})")
}

/// The path below `root` with `/` between its parts. Bytes that are not UTF-8 are written as `\xFF`, so
/// that two files or classes never have one name.
pub(super) fn relative_name(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let part = |part: &OsStr| {
        let chunks = part.as_encoded_bytes().utf8_chunks();
        let text =
            |chunk: Utf8Chunk| format!("{}{}", chunk.valid(), chunk.invalid().escape_ascii());
        chunks.map(text).collect::<String>()
    };
    let parts: Vec<_> = below.iter().map(part).collect();
    parts.join("/")
}
