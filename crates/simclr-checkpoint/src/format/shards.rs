//! Safetensors in several files, as Hugging Face's libraries write them: an index says in which file
//! each tensor is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde::Deserialize;

use super::reader::{MAXIMUM_HEADER, SafetensorsReader};
use crate::error::{Error, Result};
use crate::other_formats;
use crate::ranged_file::RangedFile;

/// The name of the index in a folder.
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// What is read of an index; the total size that it tells is no help.
#[derive(Deserialize)]
struct Index {
    /// The file of each tensor.
    weight_map: BTreeMap<String, String>,
}

impl SafetensorsReader {
    /// Opens all files of an index, such as `model.safetensors.index.json`, as one: it names a file
    /// in its folder for each tensor. Their metadata are those of all files, the first ones where
    /// they differ.
    ///
    /// # Errors
    /// [`Error::Malformed`] names the files that are missing, a name that is none of a file in the
    /// folder, and a tensor that is in another file than the index says. As [`Self::open`].
    pub fn open_index(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let files = read_index(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let missing = files.keys().filter(|name| !folder.join(name).is_file());
        let missing: Vec<_> = missing.map(String::as_str).collect();
        if !missing.is_empty() {
            let (count, missing) = (files.len(), missing.join(", "));
            let reason = format!("of its {count} files there are missing: {missing}");
            return Err(Error::malformed(path, reason));
        }
        let mut whole = Self::none(path);
        for (name, expected) in files {
            let part = Self::open(folder.join(&name))?;
            let found: BTreeSet<_> = part.tensors().keys().cloned().collect();
            if let Some(tensor) = expected.symmetric_difference(&found).next() {
                let reason = if found.contains(tensor) {
                    format!("tensor `{tensor}` of {name} is not in the index")
                } else {
                    format!("tensor `{tensor}` is not in {name}, as the index says")
                };
                return Err(Error::malformed(path, reason));
            }
            whole.append(part);
        }
        Ok(whole)
    }
}

/// The names of the files and the tensors in each.
fn read_index(path: &Path) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let file = RangedFile::open(path)?;
    if file.length() > MAXIMUM_HEADER {
        let length = file.length();
        let reason = format!("{length} bytes, an index has at most {MAXIMUM_HEADER}");
        return Err(Error::malformed(path, reason));
    }
    let index: Index =
        serde_json::from_slice(&file.read("index", 0, file.length())?).or_else(|error| {
            other_formats::check(&file)?;
            let reason = format!("index of safetensors files: {error}");
            Err(Error::malformed(path, reason))
        })?;
    let mut files = BTreeMap::<_, BTreeSet<_>>::new();
    for (tensor, name) in index.weight_map {
        check_name(path, &name)?;
        files.entry(name).or_default().insert(tensor);
    }
    let are_safetensors = |name: &String| name.ends_with(".safetensors");
    if files.is_empty() || !files.keys().all(are_safetensors) {
        other_formats::check(&file)?;
        return Err(Error::malformed(path, "it names no safetensors files"));
    }
    Ok(files)
}

/// Fails unless it is the name of a file in the folder, on every platform.
fn check_name(index: &Path, name: &str) -> Result<()> {
    let mut parts = Path::new(name).components();
    let is_plain = matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(part)), None) if part == name
    );
    if is_plain && !name.contains(['/', '\\', ':']) {
        return Ok(());
    }
    let reason = format!("`{name}` is not the name of a file in the folder of the index");
    Err(Error::malformed(index, reason))
}
