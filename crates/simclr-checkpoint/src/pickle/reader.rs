//! An open file of PyTorch's.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};
use zip::result::ZipError;

use super::pickled_module::PickledModule;
use super::pickled_tensor::PickledTensor;
use super::{machine, strides, tensors};
use crate::element::{Array, ElementType, Values, element_count};
use crate::error::{Error, InFile, Result};
use crate::other_formats;
use crate::ranged_file::RangedFile;

/// Largest pickle, which holds names and numbers but no values of tensors.
const LARGEST_PICKLE: u64 = 1 << 26;

/// Most elements of a view that has more than its storage, as `expand` makes them of a grey kernel:
/// a fraction of what any network takes in memory.
const LARGEST_REPETITION: u64 = 1 << 22;

/// Endings of the names of files that networks are imported from.
const NETWORKS: [&str; 4] = [".pth", ".pt", ".ckpt", ".safetensors"];

/// An open file of PyTorch's, version 1.6 and later (`torch.save`): the tensors of whatever object
/// was saved. Opening reads the description of the object, which is bounded in size and depth;
/// nothing in the file is executed.
///
/// A tensor's name is the path to it: `state_dict.conv1.weight` if `{"state_dict": {"conv1.weight":
/// ..}}` was saved. Modules that were saved as a whole have the names of their `state_dict()`.
#[derive(Debug)]
pub struct PickleReader {
    path: PathBuf,
    /// What stands before the names of all members of the archive.
    root: String,
    archive: Mutex<ZipArchive<BufReader<File>>>,
    tensors: BTreeMap<String, PickledTensor>,
    modules: BTreeMap<String, PickledModule>,
}

impl PickleReader {
    /// Opens a file and finds its tensors.
    ///
    /// # Errors
    /// [`Error::Malformed`] and [`Error::Unsupported`] say what is wrong with the file, or what
    /// it is instead.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).in_file(path)?;
        let length = file.metadata().in_file(path)?.len();
        let malformed = |reason: String| Error::malformed(path, reason);
        // At the file's beginning. Whoever looks for it takes the second entry of PyTorch's
        // directories for the first if that has a name of 30 bytes, as many as lie behind them.
        let begin = Config {
            archive_offset: ArchiveOffset::Known(0),
        };
        let mut archive = match ZipArchive::with_config(begin, BufReader::new(file)) {
            Ok(archive) => archive,
            Err(error) => {
                other_formats::check(&RangedFile::open(path)?)?;
                let reason = format!("not a file of PyTorch's, or cut off: {error}");
                return Err(malformed(format!("{reason} ({length} bytes)")));
            }
        };
        let root = root(path, &archive)?;
        if let Ok(order) = read_member(&mut archive, &format!("{root}byteorder"), 16)
            && order.starts_with(b"big")
        {
            let reason = "written on a big-endian machine";
            return Err(Error::unsupported(path, "byte order", reason));
        }
        let name = format!("{root}data.pkl");
        let bytes = read_member(&mut archive, &name, LARGEST_PICKLE)
            .map_err(|error| malformed(format!("{name}: {error}")))?;
        let pickle = machine::read(&bytes);
        let found = pickle.and_then(|pickle| tensors::find(&pickle));
        let (tensors, modules) =
            found.map_err(|reason| malformed(format!("{name}: pickle: {reason}")))?;
        Ok(Self {
            path: path.to_owned(),
            root,
            archive: Mutex::new(archive),
            tensors,
            modules,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All tensors, by name.
    pub fn tensors(&self) -> &BTreeMap<String, PickledTensor> {
        &self.tensors
    }

    /// The modules that were saved as a whole, by name.
    pub(crate) fn modules(&self) -> &BTreeMap<String, PickledModule> {
        &self.modules
    }

    /// Reads a tensor, in row-major order whatever its memory format.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such tensor, [`Error::Unsupported`] if its type is not
    /// read, [`Error::Malformed`] if its values are not there or have changed.
    pub fn read(&self, name: &str) -> Result<Array> {
        let tensor = self.tensors.get(name);
        let tensor = tensor.ok_or_else(|| Error::not_found(&self.path, name, String::new()))?;
        let element = tensor.element.ok_or_else(|| {
            let reason = format!("it is of {}", tensor.type_name);
            Error::unsupported(&self.path, format!("tensor `{name}`"), reason)
        })?;
        let bytes = self
            .read_bytes(tensor, element)
            .map_err(|reason| Error::malformed(&self.path, format!("tensor `{name}`: {reason}")))?;
        let mut values = Values::with_capacity(element, bytes.len() / element.size());
        values.extend_from_le_bytes(&bytes);
        Ok(Array {
            shape: tensor.shape.clone(),
            values,
        })
    }

    fn read_bytes(&self, tensor: &PickledTensor, element: ElementType) -> Result<Vec<u8>, String> {
        let PickledTensor {
            shape,
            strides,
            offset,
            storage,
            ..
        } = tensor;
        let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
        let member = format!("{}data/{storage}", self.root);
        let mut file = archive
            .by_name(&member)
            .map_err(|error| format!("{member}: {error}"))?;
        let stored = file.size() / element.size() as u64;
        let extent = strides::extent(shape, strides);
        let end = extent.and_then(|extent| extent.checked_add(*offset));
        // A view may repeat elements, but not without end.
        let (end, count) = (end.map(|end| end as u64), element_count(shape));
        let is_inside = end.is_some_and(|end| end <= stored);
        let is_bounded = count.is_some_and(|count| count <= stored.max(LARGEST_REPETITION));
        let (true, Some(extent)) = (is_inside && is_bounded, extent) else {
            return Err(format!(
                "shape {shape:?} with strides {strides:?} from element {offset} on, of {stored} that {member} has"
            ));
        };
        let failed = |error: io::Error| format!("{member}: {error}");
        let before = (offset * element.size()) as u64;
        io::copy(&mut file.by_ref().take(before), &mut io::sink()).map_err(failed)?;
        let length = (extent * element.size()) as u64;
        let mut bytes = Vec::new();
        file.by_ref()
            .take(length)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 != length {
            return Err(format!("{member} is cut off"));
        }
        // At the end of a member its checksum is compared.
        file.read(&mut [0]).map_err(failed)?;
        if strides::is_contiguous(shape, strides) {
            return Ok(bytes);
        }
        strides::gather(&bytes, element.size(), shape, strides).ok_or("outside its storage".into())
    }
}

/// What stands before the names of all members.
fn root(path: &Path, archive: &ZipArchive<BufReader<File>>) -> Result<String> {
    let names: Vec<_> = archive.file_names().filter_map(Result::ok).collect();
    let ends = |suffix: &str| names.iter().find_map(|name| name.strip_suffix(suffix));
    let has = |text: &str| names.iter().any(|name| name.contains(text));
    let root = ends("data.pkl").filter(|root| root.is_empty() || root.ends_with('/'));
    let (what, reason) = if let Some(root) = root {
        if !names
            .iter()
            .any(|name| *name == format!("{root}constants.pkl"))
        {
            return Ok(root.to_owned());
        }
        (
            "a TorchScript module",
            "load it with PyTorch and save its `state_dict()`",
        )
    } else if has(".index") && has(".data-0") {
        (
            "a zipped TensorFlow checkpoint",
            "unpack it and import the folder",
        )
    } else if has("saved_model.pb") {
        ("a zipped SavedModel", "unpack it and import the folder")
    } else if has("/sample_inputs/") {
        (
            "a program of `torch.export`",
            "save the `state_dict()` of the module that it was made of",
        )
    } else if has("model.weights.h5") {
        (
            "a file of Keras",
            "load it with TensorFlow and save a checkpoint",
        )
    } else {
        let is_network =
            |name: &&Cow<'_, str>| NETWORKS.iter().any(|ending| name.ends_with(ending));
        let reason = "a zip archive, but not of PyTorch's: it has no `data.pkl`";
        let reason = match (names.iter().find(is_network), names.first()) {
            (Some(network), _) => format!("{reason}; unpack it and import {network}"),
            (None, Some(first)) => format!("{reason}, but {first}"),
            (None, None) => format!("{reason}, nor anything else"),
        };
        return Err(Error::malformed(path, reason));
    };
    Err(Error::unsupported(path, what, reason))
}

fn read_member(
    archive: &mut ZipArchive<BufReader<File>>,
    name: &str,
    most: u64,
) -> Result<Vec<u8>, ZipError> {
    let mut bytes = Vec::new();
    archive
        .by_name(name)?
        .take(most + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let reason = format!(
            "more than {most} bytes; save the network's `state_dict()` without other objects, such \
             as arrays of NumPy"
        );
        return Err(io::Error::other(reason).into());
    }
    Ok(bytes)
}
