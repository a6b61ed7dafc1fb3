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
use crate::element::{Array, Values, element_count};
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
        let mut bundle = Self {
            prefix,
            index,
            shards,
            variables: BTreeMap::new(),
        };
        bundle.variables = bundle.variables_of(entries)?;
        Ok(bundle)
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
        let Some(element) = variable.data_type.element() else {
            return Err(self.unsupported(name, variable.data_type));
        };
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
            (DataType::String, [slice]) => self.strings_of(name, slice),
            (DataType::String, slices) => {
                let reason = format!("strings in {} slices", slices.len());
                Err(Error::unsupported(
                    &self.index,
                    format!("variable `{name}`"),
                    reason,
                ))
            }
            (data_type, _) => Err(self.unsupported(name, data_type)),
        }
    }

    fn strings_of(&self, name: &str, slice: &StoredSlice) -> Result<Vec<Vec<u8>>> {
        let count = element_count(&slice.size).unwrap_or(u64::MAX);
        self.shards
            .read_strings(&self.index, name, &slice.range, count)
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
        self.variables
            .keys()
            .try_for_each(|name| self.verify_variable(name))
    }

    /// Reads a variable and compares its checksum.
    ///
    /// # Errors
    /// [`Error::Checksum`] if its bytes have changed.
    pub fn verify_variable(&self, name: &str) -> Result<()> {
        let variable = self.variable(name)?;
        let index = &self.index;
        for slice in &variable.slices {
            match variable.data_type {
                DataType::String => drop(self.strings_of(name, slice)?),
                DataType::Variant => {
                    let count = element_count(&slice.size).unwrap_or(u64::MAX);
                    self.shards
                        .verify_variants(index, name, &slice.range, count)?;
                }
                _ => self
                    .shards
                    .for_each_chunk(index, name, &slice.range, |_| Ok(()))?,
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
                self.shards
                    .for_each_chunk(&self.index, name, &slice.range, visit)
            }
            _ => visit(&self.assemble(name, variable)?),
        }
    }

    /// Puts the blocks of a partitioned variable together.
    fn assemble(&self, name: &str, variable: &Variable) -> Result<Vec<u8>> {
        let Some(element) = variable.data_type.element() else {
            return Err(self.unsupported(name, variable.data_type));
        };
        let size = usize::try_from(variable.stored_bytes())
            .map_err(|_| Error::malformed(&self.index, format!("{name}: too large")))?;
        let mut bytes = vec![0; size];
        let outside = || Error::malformed(&self.index, format!("{name}: slice outside"));
        for slice in &variable.slices {
            let mut block = Vec::new();
            self.shards
                .for_each_chunk(&self.index, name, &slice.range, |piece| {
                    block.extend_from_slice(piece);
                    Ok(())
                })?;
            copy_block(slice, &variable.shape, element.size(), &block, &mut bytes)
                .ok_or_else(outside)?;
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

    fn unsupported(&self, name: &str, data_type: DataType) -> Error {
        let what = format!("variable `{name}`");
        Error::unsupported(&self.index, what, format!("it is of {data_type}"))
    }

    /// Turns the index's entries into variables, each checked against the data files.
    fn variables_of(&self, entries: BTreeMap<Vec<u8>, BundleEntry>) -> Result<Variables> {
        let mut variables = BTreeMap::new();
        let mut slices = 0;
        for (key, entry) in &entries {
            if is_slice_key(key) {
                continue;
            }
            let name = std::str::from_utf8(key).map_err(|_| {
                let key = key.escape_ascii();
                Error::malformed(&self.index, format!("name is not UTF-8: {key}"))
            })?;
            let variable = self
                .variable_of(name, entry, &entries)
                .map_err(|reason| Error::malformed(&self.index, format!("{name}: {reason}")))?;
            for slice in &variable.slices {
                self.shards.check(&self.index, name, &slice.range)?;
            }
            slices += entry.slices.len();
            variables.insert(name.to_owned(), variable);
        }
        let stored = entries.keys().filter(|key| is_slice_key(key)).count();
        if stored != slices {
            let reason = format!("{stored} slices stored, {slices} belong to variables");
            return Err(Error::malformed(&self.index, reason));
        }
        Ok(variables)
    }

    fn variable_of(
        &self,
        name: &str,
        entry: &BundleEntry,
        entries: &BTreeMap<Vec<u8>, BundleEntry>,
    ) -> Result<Variable, String> {
        let data_type = DataType::of_number(entry.dtype)
            .ok_or_else(|| format!("type {}, which TensorFlow does not have", entry.dtype))?;
        let shape = shape_of(entry.shape.as_ref())?;
        let slices = if entry.slices.is_empty() {
            let range = range_of(entry)?;
            vec![StoredSlice {
                start: vec![0; shape.len()],
                size: shape.clone(),
                range,
            }]
        } else {
            slices_of(name, entry, &shape, entries)?
        };
        let variable = Variable {
            data_type,
            shape,
            slices,
        };
        self.check_sizes(&variable)?;
        Ok(variable)
    }

    fn check_sizes(&self, variable: &Variable) -> Result<(), String> {
        let data_type = variable.data_type;
        for slice in &variable.slices {
            let expected = data_type.byte_count(&slice.size);
            if expected.is_some_and(|expected| expected != Some(slice.range.size)) {
                return Err(format!(
                    "{} bytes for {data_type} of shape {:?}",
                    slice.range.size, slice.size
                ));
            }
        }
        let stored = variable.stored_bytes();
        let expected = data_type.byte_count(&variable.shape);
        if expected.is_some_and(|expected| expected != Some(stored)) {
            let shape = &variable.shape;
            return Err(format!("the slices do not make up the shape {shape:?}"));
        }
        // Slices may lie anywhere in the files, but not all of them in the same place.
        if stored > self.shards.total_length() {
            return Err(format!("{stored} bytes, more than all data files have"));
        }
        Ok(())
    }
}

type Variables = BTreeMap<String, Variable>;

/// Names are not empty and do not begin with a zero; the keys of slices do.
fn is_slice_key(key: &[u8]) -> bool {
    key.first() == Some(&0)
}

/// Reads the header and all entries.
fn read_index(file: &RangedFile) -> Result<(BundleHeader, BTreeMap<Vec<u8>, BundleEntry>)> {
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
    entries: &BTreeMap<Vec<u8>, BundleEntry>,
) -> Result<Vec<StoredSlice>, String> {
    let count = entry.slices.len();
    if count > MOST_SLICES {
        return Err(format!("{count} slices, more than {MOST_SLICES}"));
    }
    let part = |slice: &Slice| {
        let extents: Vec<Extent> = slice
            .extent
            .iter()
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
    let mut position = vec![0; outer.len()];
    for source in block.chunks_exact(row) {
        let mut flat = 0;
        for (axis, &size) in shape.iter().enumerate() {
            let inside = position.get(axis).copied().unwrap_or(0);
            flat = flat * size + slice.start.get(axis)? + inside;
        }
        let start = flat * element;
        whole.get_mut(start..start + row)?.copy_from_slice(source);
        advance(&mut position, outer);
    }
    Some(())
}

/// The next position in row-major order.
fn advance(position: &mut [usize], shape: &[usize]) {
    for (index, &size) in position.iter_mut().zip(shape).rev() {
        *index += 1;
        if *index < size {
            return;
        }
        *index = 0;
    }
}
