//! Safetensors read by range.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use simclr_files::digest_around;

use super::metadata::{DIGEST, DIGEST_AT};
use crate::element::{Array, ElementType, Values};
use crate::error::{Error, InFile, Result};
use crate::other_formats::{self, ZIP};
use crate::ranged_file::RangedFile;

/// Length of the header's length.
const PREFIX: u64 = 8;

/// Longest header, that of the safetensors library.
pub(super) const MAXIMUM_HEADER: u64 = 100_000_000;

/// One tensor of a safetensors file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorEntry {
    /// The type of its elements.
    pub element: ElementType,
    /// The size of each axis.
    pub shape: Vec<usize>,
    /// Which of the reader's files it is in.
    file: usize,
    offset: u64,
    length: u64,
}

impl TensorEntry {
    /// The bytes that it takes in the file.
    pub fn byte_count(&self) -> u64 {
        self.length
    }
}

/// An open safetensors file of any origin, or several of one index. Opening reads the headers only.
#[derive(Debug)]
pub struct SafetensorsReader {
    path: PathBuf,
    files: Vec<RangedFile>,
    tensors: BTreeMap<String, TensorEntry>,
    metadata: HashMap<String, String>,
}

impl SafetensorsReader {
    /// Reads and checks the header: all tensors must lie inside the file, without gaps.
    ///
    /// # Errors
    /// [`Error::Malformed`] says what is wrong with the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.is_dir() {
            let reason = "expected a safetensors file, found a folder; a TensorFlow checkpoint has \
                          to be imported first";
            return Err(Error::malformed(path, reason));
        }
        let file = RangedFile::open(path)?;
        let (header, data) = read_header(&file)?;
        let mut tensors = BTreeMap::new();
        for (name, info) in header.tensors() {
            let element = ElementType::of_safetensors(info.dtype).ok_or_else(|| {
                let reason = format!("elements of type {:?}", info.dtype);
                Error::unsupported(file.path(), format!("tensor `{name}`"), reason)
            })?;
            let (start, end) = info.data_offsets;
            let entry = TensorEntry {
                element,
                shape: info.shape.clone(),
                file: 0,
                offset: data + start as u64,
                length: (end - start) as u64,
            };
            tensors.insert(name, entry);
        }
        Ok(Self {
            tensors,
            metadata: header.metadata().clone().unwrap_or_default(),
            path: path.to_owned(),
            files: vec![file],
        })
    }

    /// A reader of no files yet.
    pub(super) fn none(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            files: Vec::new(),
            tensors: BTreeMap::new(),
            metadata: HashMap::new(),
        }
    }

    /// Adds the files of another reader, which has other tensors.
    pub(super) fn append(&mut self, other: Self) {
        let before = self.files.len();
        self.files.extend(other.files);
        for (name, mut entry) in other.tensors {
            entry.file += before;
            self.tensors.insert(name, entry);
        }
        // A digest is that of one file.
        for (key, value) in other.metadata.into_iter().filter(|(key, _)| key != DIGEST) {
            self.metadata.entry(key).or_insert(value);
        }
    }

    /// The file, or the index of several.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All tensors, by name.
    pub fn tensors(&self) -> &BTreeMap<String, TensorEntry> {
        &self.tensors
    }

    /// The entries of the file's `__metadata__`.
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.metadata
    }

    /// Reads a tensor.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such tensor.
    pub fn read(&self, name: &str) -> Result<Array> {
        let entry = self.entry(name)?;
        let count = entry.shape.iter().product();
        let mut values = Values::with_capacity(entry.element, count);
        self.for_each_chunk(name, |bytes| {
            values.extend_from_le_bytes(bytes);
            Ok(())
        })?;
        Ok(Array {
            shape: entry.shape.clone(),
            values,
        })
    }

    /// Reads the whole file and compares its SHA-256 with that in its metadata; `false` if it has
    /// none, as files of others and of earlier versions, and for several files.
    ///
    /// # Errors
    /// [`simclr_files::Error::Digest`] if they differ: the file has changed since it was written.
    pub fn verify(&self) -> Result<bool> {
        let path = self.path();
        let (Some(stored), [file]) = (self.metadata.get(DIGEST), &self.files[..]) else {
            tracing::debug!(path = %path.display(), "no digest: not compared");
            return Ok(false);
        };
        let computed = digest_around(file.reader(), DIGEST_AT).in_file(path)?;
        if computed == *stored {
            return Ok(true);
        }
        Err(simclr_files::Error::Digest {
            path: path.to_owned(),
            stored: stored.clone(),
            computed,
        }
        .into())
    }

    /// Passes the bytes of a tensor on in pieces, each a whole number of elements.
    pub(crate) fn for_each_chunk(
        &self,
        name: &str,
        visit: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let entry = self.entry(name)?;
        self.files[entry.file].for_each_chunk(name, entry.offset, entry.length, visit)
    }

    fn entry(&self, name: &str) -> Result<&TensorEntry> {
        let not_found = || Error::not_found(self.path(), name, String::new());
        self.tensors.get(name).ok_or_else(not_found)
    }
}

/// The header and the offset of the data behind it.
fn read_header(file: &RangedFile) -> Result<(safetensors::tensor::Metadata, u64)> {
    let malformed = |reason: String| Error::malformed(file.path(), reason);
    if file.length() < PREFIX {
        other_formats::check(file)?;
        let length = file.length();
        return Err(malformed(format!(
            "not a safetensors file: {length} bytes, too short for a header"
        )));
    }
    let prefix = file.read("header length", 0, PREFIX)?;
    let length = prefix.try_into().map_or(0, u64::from_le_bytes);
    if length > MAXIMUM_HEADER || length > file.length() - PREFIX {
        return Err(no_header(file, length));
    }
    let text = file.read("header", PREFIX, length)?;
    let header: safetensors::tensor::Metadata = serde_json::from_slice(&text)
        .map_err(|error| malformed(format!("safetensors header: {error}")))?;
    let data = PREFIX + length;
    let expected = data + header.data_len() as u64;
    if expected != file.length() {
        return Err(malformed(format!(
            "cut off or damaged: {} bytes, the header describes {expected}",
            file.length()
        )));
    }
    Ok((header, data))
}

/// Says what a file is that does not begin with the length of a header.
fn no_header(file: &RangedFile, length: u64) -> Error {
    let first = match other_formats::check(file).and_then(|()| other_formats::beginning(file)) {
        Ok(first) => first,
        Err(error) => return error,
    };
    if first.starts_with(ZIP) {
        let reason = "a zip archive, which is what PyTorch writes: a foreign network has to be \
                      imported first";
        return Error::malformed(file.path(), reason);
    }
    let reason = if other_formats::is_safetensors(&first) {
        let whole = file.length();
        format!("cut off: a safetensors header of {length} bytes in a file of {whole} bytes")
    } else {
        "not a safetensors file: it does not begin with the length of a header".to_owned()
    };
    Error::malformed(file.path(), reason)
}
