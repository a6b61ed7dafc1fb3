//! Finds the checkpoint that a path means.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::table::MAGIC;
use crate::error::{Error, InFile, Result};
use crate::other_formats;
use crate::ranged_file::RangedFile;

const INDEX: &str = "index";
const STATE_FILE: &str = "checkpoint";
const STATE_KEY: &str = "model_checkpoint_path";

/// Where in a folder a SavedModel may lie: it may be one, and those of the official networks are
/// in a folder of their own.
const SAVED_MODELS: [&str; 3] = ["", "saved_model", "hub"];

/// Extensions of files of PyTorch's, which are no part of a folder.
const OF_PYTORCH: [&str; 4] = ["safetensors", "pth", "pt", "bin"];

/// A state file has a few lines; what is longer is something else.
const LONGEST_STATE_FILE: u64 = 1 << 20;

/// The prefix of the checkpoint that `path` means. It may be
///
/// - a prefix, `model.ckpt-1234`,
/// - one of its files, `model.ckpt-1234.index`, `.data-00000-of-00001` or `.meta`,
/// - a `checkpoint` file, which names the last checkpoint beside it,
/// - a folder with such a file or with exactly one index,
/// - a SavedModel's folder, its `saved_model.pb` or its `variables`, or a folder with a SavedModel
///   under `saved_model` or `hub`.
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
    if let Some(prefix) = prefix_of(path) {
        return Ok(prefix);
    }
    if is_version_1(path)? {
        return Err(version_1(path));
    }
    if path.file_name() == Some(OsStr::new("saved_model.pb")) {
        return locate_in(path.parent().unwrap_or(Path::new("")));
    }
    if path.exists() {
        other_formats::check(&RangedFile::open(path)?)?;
        let reason = "not a TensorFlow checkpoint: expected a folder, a prefix or an `.index` file";
        return Err(Error::malformed(path, reason));
    }
    let index = index_of(path);
    let reason = format!("no such file or folder, and no {} either", index.display());
    let missing = std::io::Error::new(std::io::ErrorKind::NotFound, reason);
    Err(missing).in_file(path)
}

/// The prefix of a checkpoint's data or graph file.
fn prefix_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let name = match name.strip_suffix(".meta") {
        Some(name) => name,
        None => name.rsplit_once(".data-")?.0,
    };
    let prefix = path.with_file_name(name);
    index_of(&prefix).is_file().then_some(prefix)
}

/// Whether this is a checkpoint of TensorFlow's first format: one table, or several, with the
/// values in it.
fn is_version_1(path: &Path) -> Result<bool> {
    if !path.is_file() {
        return Ok(false);
    }
    let file = RangedFile::open(path)?;
    let length = file.length().min(8);
    let end = file.read("last bytes", file.length() - length, length)?;
    Ok(end == MAGIC.to_le_bytes())
}

fn version_1(path: &Path) -> Error {
    let reason = "load it with TensorFlow's `tf.compat.v1.train.Saver` and save it again with \
                  `write_version=tf.compat.v1.train.SaverDef.V2`";
    Error::unsupported(
        path,
        "a TensorFlow checkpoint of the first format (V1)",
        reason,
    )
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
    let (mut indices, mut of_pytorch) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).in_file(folder)? {
        let path = entry.in_file(folder)?.path();
        let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        if extension == INDEX {
            indices.push(path);
        } else if OF_PYTORCH.contains(&extension) {
            of_pytorch.push(path);
        }
    }
    indices.sort_unstable();
    of_pytorch.sort_unstable();
    match indices.as_slice() {
        [index] => Ok(index.with_extension("")),
        [] if folder.join("saved_model.pb").is_file() => Err(Error::malformed(
            folder,
            "a SavedModel without variables: `variables/variables.index` is not there",
        )),
        [] => {
            let mut reason = "no checkpoint: neither a `checkpoint` file, nor an `.index` file, \
                              nor a SavedModel"
                .to_owned();
            if let Some(file) = of_pytorch.first() {
                reason.push_str(&format!(
                    "; a file of PyTorch's is named itself: {}",
                    file.display()
                ));
            }
            Err(Error::malformed(folder, reason))
        }
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
    // Editors may put a mark before the first line.
    let mut values = text
        .trim_start_matches('\u{feff}')
        .lines()
        .filter_map(|line| {
            let value = line.trim().strip_prefix(STATE_KEY)?;
            value.trim_start().strip_prefix(':')
        });
    let value = values
        .next()
        .and_then(unquote)
        .ok_or_else(|| Error::malformed(path, format!("expected a line `{STATE_KEY}: \"...\"`")))?;
    // Some who write it by hand name the index.
    let value = value.strip_suffix(".index").unwrap_or(&value).to_owned();
    let folder = path.parent().unwrap_or(Path::new(""));
    // Windows separates by the other slash.
    let named = [value.clone(), value.replace('\\', "/")].map(PathBuf::from);
    // Checkpoints are moved; then the recorded path is the old place of what lies beside us.
    let beside = named
        .iter()
        .filter_map(|named| Some(folder.join(named.file_name()?)));
    let candidates: Vec<_> = named
        .iter()
        .map(|named| folder.join(named))
        .chain(beside)
        .collect();
    if let Some(prefix) = candidates.iter().find(|prefix| index_of(prefix).is_file()) {
        return Ok(prefix.clone());
    }
    for candidate in &candidates {
        if is_version_1(candidate)? {
            return Err(version_1(candidate));
        }
    }
    let reason = format!("names `{value}`, but there is no {value}.index");
    Err(Error::malformed(path, reason))
}

/// The text between quotation marks. A backslash stands before quotation marks and backslashes, and
/// before three octal digits for a byte that is not ASCII; others are those of a Windows path that
/// was written by hand.
fn unquote(value: &str) -> Option<String> {
    let value = value.trim();
    let quote = value.chars().next().filter(|c| ['"', '\''].contains(c))?;
    let inner = value.strip_prefix(quote)?.strip_suffix(quote)?;
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
                special @ (b'\\' | b'"' | b'\'') => text.push(special),
                other => text.extend([b'\\', other]),
            },
            other => text.push(other),
        }
    }
    String::from_utf8(text).ok()
}
