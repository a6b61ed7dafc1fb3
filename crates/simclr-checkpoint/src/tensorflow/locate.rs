//! Finds the checkpoint that a path means.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::{Error, InFile, Result};

const INDEX: &str = "index";
const STATE_FILE: &str = "checkpoint";
const STATE_KEY: &str = "model_checkpoint_path:";

/// Where in a folder a SavedModel may lie: it may be one, and those of the official networks are
/// in a folder of their own.
const SAVED_MODELS: [&str; 3] = ["", "saved_model", "hub"];

/// A state file has a few lines; what is longer is something else.
const LONGEST_STATE_FILE: u64 = 1 << 20;

/// The prefix of the checkpoint that `path` means. It may be
///
/// - a prefix, `model.ckpt-1234`,
/// - an index, `model.ckpt-1234.index`,
/// - a `checkpoint` file, which names the last checkpoint beside it,
/// - a folder with such a file or with exactly one index,
/// - a SavedModel's folder, its `variables`, or a folder with a SavedModel under `saved_model` or
///   `hub`.
///
/// # Errors
/// Says what was looked for where.
pub fn locate(path: &Path) -> Result<PathBuf> {
    if path.is_dir() {
        return locate_in(path);
    }
    if path.extension() == Some(OsStr::new(INDEX)) {
        return Ok(path.with_extension(""));
    }
    if index_of(path).is_file() {
        return Ok(path.to_owned());
    }
    if path.file_name() == Some(OsStr::new(STATE_FILE)) && path.is_file() {
        return read_state(path);
    }
    if path.exists() {
        let reason = "not a TensorFlow checkpoint: expected a folder, a prefix or an `.index` file";
        return Err(Error::malformed(path, reason));
    }
    let index = index_of(path);
    let reason = format!("no such file or folder, and no {} either", index.display());
    let missing = std::io::Error::new(std::io::ErrorKind::NotFound, reason);
    Err(missing).in_file(path)
}

/// The index file of a prefix.
pub(crate) fn index_of(prefix: &Path) -> PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(".index");
    name.into()
}

fn locate_in(folder: &Path) -> Result<PathBuf> {
    let state = folder.join(STATE_FILE);
    if state.is_file() {
        return read_state(&state);
    }
    let saved_models = SAVED_MODELS.map(|inner| folder.join(inner).join("variables/variables"));
    if let Some(saved_model) = saved_models.into_iter().find(|m| index_of(m).is_file()) {
        return Ok(saved_model);
    }
    let mut indices = Vec::new();
    for entry in std::fs::read_dir(folder).in_file(folder)? {
        let path = entry.in_file(folder)?.path();
        if path.extension() == Some(OsStr::new(INDEX)) {
            indices.push(path);
        }
    }
    indices.sort_unstable();
    match indices.as_slice() {
        [index] => Ok(index.with_extension("")),
        [] => Err(Error::malformed(
            folder,
            "no checkpoint: neither a `checkpoint` file, nor an `.index` file, nor a SavedModel",
        )),
        [first, ..] => Err(Error::malformed(
            folder,
            format!(
                "{} checkpoints and no `checkpoint` file: name one of them, for example {}",
                indices.len(),
                first.with_extension("").display()
            ),
        )),
    }
}

/// The checkpoint that a state file (a text message) names as the last one.
fn read_state(path: &Path) -> Result<PathBuf> {
    let length = path.metadata().in_file(path)?.len();
    if length > LONGEST_STATE_FILE {
        return Err(Error::malformed(
            path,
            format!("{length} bytes: not a state file"),
        ));
    }
    let text = std::fs::read(path).in_file(path)?;
    let text = String::from_utf8_lossy(&text);
    let mut values = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix(STATE_KEY));
    let value = values
        .next()
        .and_then(unquote)
        .ok_or_else(|| Error::malformed(path, format!("expected a line `{STATE_KEY} \"...\"`")))?;
    let named = Path::new(&value);
    let folder = path.parent().unwrap_or(Path::new(""));
    // Checkpoints are moved; then the recorded path is the old place of what lies beside us.
    let beside = named.file_name().map(|name| folder.join(name));
    let candidates = [Some(folder.join(named)), beside];
    let mut candidates = candidates.into_iter().flatten();
    candidates
        .find(|prefix| index_of(prefix).is_file())
        .ok_or_else(|| {
            let reason = format!("names `{value}`, but there is no {value}.index");
            Error::malformed(path, reason)
        })
}

/// The text between quotation marks. A backslash stands before special characters, and before
/// three octal digits for a byte that is not ASCII.
fn unquote(value: &str) -> Option<String> {
    let inner = value.trim().strip_prefix('"')?.strip_suffix('"')?;
    let mut text = Vec::new();
    let mut bytes = inner.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next()? {
                first @ b'0'..=b'3' => {
                    let octal = [first, bytes.next()?, bytes.next()?];
                    let octal = std::str::from_utf8(&octal).ok()?;
                    text.push(u8::from_str_radix(octal, 8).ok()?);
                }
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
    String::from_utf8(text).ok()
}
