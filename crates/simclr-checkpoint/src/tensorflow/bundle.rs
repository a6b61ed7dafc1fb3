//! An open checkpoint.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prost::Message;

use super::coding::{Extent, slice_key};
use super::locate::{index_of, locate};
use super::object_graph::ObjectGraph;
use super::proto::{BundleEntry, BundleHeader, Slice};
use super::shards::Shards;
use super::table;
use super::variable::{DataType, StoredSlice, Variable, block_of, overlap, range_of, shape_of};
use crate::element::{Array, ElementType, Values};
use crate::ranged_file::RangedFile;
use crate::{Error, Result};

/// The version of the format that this reader is written for.
const VERSION: i32 = 1;

/// Slices are compared pairwise; no partitioner makes nearly as many.
const MOST_SLICES: usize = 1 << 12;

/// The variable that holds the object graph of an object-based checkpoint.
const OBJECT_GRAPH: &str = "_CHECKPOINTABLE_OBJECT_GRAPH";

/// An open checkpoint. Opening reads the index and checks it against the data files' sizes;
/// values are read on demand, and their checksums are compared whenever they are.
#[derive(Debug)]
pub struct Bundle {
    prefix: PathBuf,
    index: PathBuf,
    shards: Shards,
    variables: BTreeMap<String, Variable>,
}

impl Bundle {
    /// Opens a checkpoint by its prefix, its index file, the folder that it is in (by the
    /// `checkpoint` file there, or as the only one), or a SavedModel's folder.
    ///
    /// # Errors
    /// Says which file is missing, damaged or inconsistent, and how.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let prefix = locate(path.as_ref())?;
        let index = index_of(&prefix);
        let (header, entries) = read_index(&RangedFile::open(&index)?)?;
        check_header(&index, &header)?;
        let shards = Shards::open(&prefix, header.num_shards)?;
        let variables = variables_of(&index, &shards, &entries)
            .or_else(|error| shards.check_formats().and(Err(error)))?;
        Ok(Self {
            variables,
            prefix,
            index,
            shards,
        })
    }

    /// The path that all of the checkpoint's files begin with.
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// The index file.
    pub fn index(&self) -> &Path {
        &self.index
    }

    /// All variables, by name.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &Variable)> {
        self.variables
            .iter()
            .map(|(name, variable)| (name.as_str(), variable))
    }

    /// What the index says about a variable.
    pub fn get(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name)
    }

    /// Reads a variable of numbers or truth values.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none of this name, [`Error::Unsupported`] if it is of
    /// another type, [`Error::Checksum`] if its bytes have changed.
    pub fn read(&self, name: &str) -> Result<Array> {
        let variable = self.variable(name)?;
        let element = self.element(name, variable)?;
        let count = variable.shape.iter().product();
        let mut values = Values::with_capacity(element, count);
        self.for_each_chunk(name, |bytes| {
            values.extend_from_le_bytes(bytes);
            Ok(())
        })?;
        Ok(Array {
            shape: variable.shape.clone(),
            values,
        })
    }

    /// Reads a variable of strings, flat.
    ///
    /// # Errors
    /// As [`Self::read`]; [`Error::Unsupported`] also if it was partitioned.
    pub fn read_strings(&self, name: &str) -> Result<Vec<Vec<u8>>> {
        let variable = self.variable(name)?;
        match (variable.data_type, variable.slices.as_slice()) {
            (DataType::String, [slice]) => {
                self.shards.read_strings(name, &slice.range, slice.count())
            }
            (DataType::String, slices) => {
                let reason = format!("strings in {} slices", slices.len());
                let what = format!("variable `{name}`");
                Err(Error::unsupported(&self.index, what, reason))
            }
            (data_type, _) => Err(self.unsupported(name, data_type)),
        }
    }

    /// Whether there is an object graph: then names are paths through it.
    pub fn is_object_based(&self) -> bool {
        self.get(OBJECT_GRAPH).is_some()
    }

    /// The object graph, if this is an object-based checkpoint or a SavedModel.
    ///
    /// # Errors
    /// Fails if there is one, but damaged.
    pub fn object_graph(&self) -> Result<Option<ObjectGraph>> {
        if !self.is_object_based() {
            return Ok(None);
        }
        let strings = self.read_strings(OBJECT_GRAPH)?;
        let bytes = strings.first().map_or(&[][..], Vec::as_slice);
        let graph = ObjectGraph::decode(bytes)
            .map_err(|reason| Error::malformed(&self.index, format!("object graph: {reason}")))?;
        Ok(Some(graph))
    }

    /// Reads every byte of every variable and compares all checksums.
    ///
    /// # Errors
    /// The first difference, by file and variable.
    pub fn verify(&self) -> Result<()> {
        let mut names = self.variables.keys();
        names.try_for_each(|name| self.verify_variable(name))
    }

    /// Reads a variable and compares its checksum.
    ///
    /// # Errors
    /// [`Error::Checksum`] if its bytes have changed.
    pub fn verify_variable(&self, name: &str) -> Result<()> {
        let variable = self.variable(name)?;
        for slice in &variable.slices {
            let (range, count) = (&slice.range, slice.count());
            match variable.data_type {
                DataType::String => drop(self.shards.read_strings(name, range, count)?),
                DataType::Variant => self.shards.verify_variants(name, range, count)?,
                _ => self.shards.for_each_chunk(name, range, |_| Ok(()))?,
            }
        }
        Ok(())
    }

    /// Passes the bytes of a variable on in row-major order, in pieces of whole elements.
    pub(crate) fn for_each_chunk(
        &self,
        name: &str,
        mut visit: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let variable = self.variable(name)?;
        match variable.slices.as_slice() {
            [slice] if slice.size == variable.shape => {
                self.shards.for_each_chunk(name, &slice.range, visit)
            }
            _ => visit(&self.assemble(name, variable)?),
        }
    }

    /// Puts the blocks of a partitioned variable together.
    fn assemble(&self, name: &str, variable: &Variable) -> Result<Vec<u8>> {
        let width = self.element(name, variable)?.size();
        let malformed = |reason| Error::malformed(&self.index, format!("{name}: {reason}"));
        let size = usize::try_from(variable.stored_bytes()).map_err(|_| malformed("too large"))?;
        let mut bytes = vec![0; size];
        for slice in &variable.slices {
            let mut block = Vec::new();
            self.shards.for_each_chunk(name, &slice.range, |piece| {
                block.extend_from_slice(piece);
                Ok(())
            })?;
            copy_block(slice, &variable.shape, width, &block, &mut bytes)
                .ok_or_else(|| malformed("slice outside"))?;
        }
        Ok(bytes)
    }

    fn variable(&self, name: &str) -> Result<&Variable> {
        let not_found = || Error::not_found(&self.index, name, self.hint(name));
        self.variables.get(name).ok_or_else(not_found)
    }

    /// Names that end like the one asked for.
    fn hint(&self, name: &str) -> String {
        let tail = name.rsplit('/').next().unwrap_or(name);
        let similar = self.variables.keys().filter(|key| key.contains(tail));
        let names: Vec<_> = similar.take(3).map(String::as_str).collect();
        match names.as_slice() {
            [] => String::new(),
            names => format!("; there are {}", names.join(", ")),
        }
    }

    fn element(&self, name: &str, variable: &Variable) -> Result<ElementType> {
        let unsupported = || self.unsupported(name, variable.data_type);
        variable.data_type.element().ok_or_else(unsupported)
    }

    fn unsupported(&self, name: &str, data_type: DataType) -> Error {
        let what = format!("variable `{name}`");
        Error::unsupported(&self.index, what, format!("it is of {data_type}"))
    }
}

type Entries = BTreeMap<Vec<u8>, BundleEntry>;

/// Turns the index's entries into variables, each checked against the data files.
fn variables_of(
    index: &Path,
    shards: &Shards,
    entries: &Entries,
) -> Result<BTreeMap<String, Variable>> {
    let malformed = |reason| Error::malformed(index, reason);
    let mut variables = BTreeMap::new();
    let mut slices = 0;
    for (key, entry) in entries.iter().filter(|(key, _)| !is_slice_key(key)) {
        let name = std::str::from_utf8(key)
            .map_err(|_| malformed(format!("name is not UTF-8: {}", key.escape_ascii())))?;
        let variable = variable_of(name, entry, entries)
            .and_then(|variable| check_sizes(&variable, shards).map(|()| variable))
            .map_err(|reason| malformed(format!("{name}: {reason}")))?;
        for slice in &variable.slices {
            shards.check(name, &slice.range)?;
        }
        slices += entry.slices.len();
        variables.insert(name.to_owned(), variable);
    }
    let stored = entries.keys().filter(|key| is_slice_key(key)).count();
    if stored != slices {
        let reason = format!("{stored} slices stored, {slices} belong to variables");
        return Err(malformed(reason));
    }
    Ok(variables)
}

fn variable_of(name: &str, entry: &BundleEntry, entries: &Entries) -> Result<Variable, String> {
    let data_type = DataType::of_number(entry.dtype)
        .ok_or_else(|| format!("type {}, which TensorFlow does not have", entry.dtype))?;
    let shape = shape_of(entry.shape.as_ref())?;
    let slices = if entry.slices.is_empty() {
        vec![StoredSlice {
            start: vec![0; shape.len()],
            size: shape.clone(),
            range: range_of(entry)?,
        }]
    } else {
        slices_of(name, entry, &shape, entries)?
    };
    Ok(Variable {
        data_type,
        shape,
        slices,
    })
}

fn check_sizes(variable: &Variable, shards: &Shards) -> Result<(), String> {
    let (data_type, shape) = (variable.data_type, &variable.shape);
    // `false` if the type does not tell.
    let differs = |shape: &[usize], bytes: u64| {
        let expected = data_type.byte_count(shape);
        expected.is_some_and(|expected| expected != Some(bytes))
    };
    for StoredSlice { size, range, .. } in &variable.slices {
        let bytes = range.size;
        if differs(size, bytes) {
            return Err(format!("{bytes} bytes for {data_type} of shape {size:?}"));
        }
    }
    let stored = variable.stored_bytes();
    if differs(shape, stored) {
        return Err(format!("the slices do not make up the shape {shape:?}"));
    }
    // Slices may lie anywhere in the files, but not all of them in the same place.
    if stored > shards.total_length() {
        return Err(format!("{stored} bytes, more than all data files have"));
    }
    Ok(())
}

/// Names are not empty and do not begin with a zero; the keys of slices do.
fn is_slice_key(key: &[u8]) -> bool {
    key.first() == Some(&0)
}

/// Reads the header and all entries.
fn read_index(file: &RangedFile) -> Result<(BundleHeader, Entries)> {
    let mut header = None;
    let mut entries = BTreeMap::new();
    table::for_each_entry(file, |key, value| {
        let broken = |error: prost::DecodeError| {
            let key = key.escape_ascii();
            Error::malformed(file.path(), format!("entry `{key}`: {error}"))
        };
        if key.is_empty() {
            header = Some(BundleHeader::decode(value).map_err(broken)?);
        } else {
            let entry = BundleEntry::decode(value).map_err(broken)?;
            entries.insert(key.to_vec(), entry);
        }
        Ok(())
    })?;
    let header = header.ok_or_else(|| Error::malformed(file.path(), "no header entry"))?;
    Ok((header, entries))
}

fn check_header(index: &Path, header: &BundleHeader) -> Result<()> {
    if header.endianness != 0 {
        let reason = "written on a big-endian machine";
        return Err(Error::unsupported(index, "byte order", reason));
    }
    let version = header.version.clone().unwrap_or_default();
    if version.min_consumer > VERSION || version.bad_consumers.contains(&VERSION) {
        let reason = format!("it asks for a reader of version {}", version.min_consumer);
        return Err(Error::unsupported(index, "format version", reason));
    }
    if header.num_shards < 1 {
        let reason = format!("{} data files", header.num_shards);
        return Err(Error::malformed(index, reason));
    }
    Ok(())
}

fn slices_of(
    name: &str,
    entry: &BundleEntry,
    shape: &[usize],
    entries: &Entries,
) -> Result<Vec<StoredSlice>, String> {
    let count = entry.slices.len();
    if count > MOST_SLICES {
        return Err(format!("{count} slices, more than {MOST_SLICES}"));
    }
    let part = |slice: &Slice| {
        let extents = slice.extent.iter();
        let extents: Vec<Extent> = extents
            .map(|extent| extent.length.map(|length| (extent.start, length)))
            .collect();
        let stored = entries
            .get(&slice_key(name, &extents))
            .ok_or_else(|| format!("slice {extents:?} is not there"))?;
        let (start, size) = block_of(&extents, shape)?;
        if stored.dtype != entry.dtype {
            return Err(format!("slice {extents:?} is of another type"));
        }
        if shape_of(stored.shape.as_ref())? != size {
            return Err(format!("slice {extents:?} is of another shape"));
        }
        let range = range_of(stored)?;
        Ok(StoredSlice { start, size, range })
    };
    let parts = entry.slices.iter().map(part);
    let parts = parts.collect::<Result<Vec<_>, String>>()?;
    for (index, a) in parts.iter().enumerate() {
        if parts.iter().skip(index + 1).any(|b| overlap(a, b)) {
            return Err("its slices overlap".into());
        }
    }
    Ok(parts)
}

/// Copies a slice, row by row, to where it belongs in the whole; `None` if it does not fit.
fn copy_block(
    slice: &StoredSlice,
    shape: &[usize],
    element: usize,
    block: &[u8],
    whole: &mut [u8],
) -> Option<()> {
    let row = slice.size.last()? * element;
    if row == 0 {
        return Some(());
    }
    let outer = slice.size.split_last()?.1;
    for (mut number, source) in block.chunks_exact(row).enumerate() {
        // The row's number counts its positions along the outer axes, the last one fastest.
        let mut flat = *slice.start.last()?;
        let mut stride = *shape.last()?;
        for ((&size, &start), &axis) in outer.iter().zip(&slice.start).zip(shape).rev() {
            flat += (start + number % size) * stride;
            number /= size;
            stride *= axis;
        }
        let start = flat * element;
        whole.get_mut(start..start + row)?.copy_from_slice(source);
    }
    Some(())
}
