//! What a bundle's index says about one variable.

use std::fmt;

use super::coding::Extent;
use super::proto::{BundleEntry, Shape};
use super::shards::StoredRange;
use crate::element::{ElementType, element_count};

/// TensorFlow's type of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataType {
    /// Numbers or truth values.
    Element(ElementType),
    /// Byte strings.
    String,
    /// Objects of TensorFlow's, serialized one by one, for example a dataset's position.
    Variant,
    /// Any other (complex, quantised, of less than 16 bits), by its number in TensorFlow's
    /// `types.proto`: listed and verified, but not read.
    Other(i32),
}

impl DataType {
    /// The type of a number in `types.proto`; `None` if it has no such type.
    pub(crate) fn of_number(number: i32) -> Option<Self> {
        use ElementType::*;
        Some(Self::Element(match number {
            1 => F32,
            2 => F64,
            3 => I32,
            4 => U8,
            5 => I16,
            6 => I8,
            7 => return Some(Self::String),
            9 => I64,
            10 => Bool,
            14 => BF16,
            17 => U16,
            19 => F16,
            21 => return Some(Self::Variant),
            22 => U32,
            23 => U64,
            8 | 11..=13 | 15 | 16 | 18 | 24..=32 => return Some(Self::Other(number)),
            _ => return None,
        }))
    }

    /// The type of the elements, if they are numbers or truth values.
    pub fn element(self) -> Option<ElementType> {
        match self {
            Self::Element(element) => Some(element),
            _ => None,
        }
    }

    /// Bytes of one element, if all have the same.
    fn width(self) -> Option<usize> {
        match self {
            Self::Element(element) => Some(element.size()),
            Self::String | Self::Variant => None,
            Self::Other(13) => Some(4),
            Self::Other(8) => Some(8),
            Self::Other(15 | 16) => Some(2),
            Self::Other(18) => Some(16),
            // Numbers of less than 8 bits take a byte each.
            Self::Other(_) => Some(1),
        }
    }

    /// The bytes of a tensor of this shape; `Some(None)` if they cannot be counted in 64 bits,
    /// `None` if the type does not tell.
    pub(crate) fn byte_count(self, shape: &[usize]) -> Option<Option<u64>> {
        let width = self.width()? as u64;
        Some(element_count(shape).and_then(|count| count.checked_mul(width)))
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element(element) => element.fmt(f),
            Self::String => f.pad("string"),
            Self::Variant => f.pad("variant"),
            Self::Other(8) => f.pad("complex64"),
            Self::Other(18) => f.pad("complex128"),
            Self::Other(number) => f.pad(&format!("type {number}")),
        }
    }
}

/// One variable of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub(crate) data_type: DataType,
    pub(crate) shape: Vec<usize>,
    pub(crate) slices: Vec<StoredSlice>,
}

/// A variable's values, or a slice of them if it was partitioned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredSlice {
    /// The first index along each axis.
    pub(crate) start: Vec<usize>,
    /// The number of indices along each axis.
    pub(crate) size: Vec<usize>,
    pub(crate) range: StoredRange,
}

impl StoredSlice {
    /// The number of its elements; the largest there is if it cannot be counted in 64 bits.
    pub(crate) fn count(&self) -> u64 {
        element_count(&self.size).unwrap_or(u64::MAX)
    }
}

impl Variable {
    /// The type of its elements.
    pub fn data_type(&self) -> DataType {
        self.data_type
    }

    /// The size of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The bytes that it takes in the data files.
    pub fn stored_bytes(&self) -> u64 {
        let sizes = self.slices.iter().map(|part| part.range.size);
        sizes.fold(0, u64::saturating_add)
    }

    /// The number of slices that it is stored in: 1 unless it was partitioned.
    pub fn slice_count(&self) -> usize {
        self.slices.len()
    }

    /// The CRC-32C of each slice's bytes, as the index has it.
    pub fn checksums(&self) -> impl Iterator<Item = u32> {
        self.slices
            .iter()
            .map(|part| super::checksum::unmask(part.range.checksum))
    }
}

/// The sizes in a shape message; an error says what is wrong with it.
pub(crate) fn shape_of(shape: Option<&Shape>) -> Result<Vec<usize>, String> {
    let Some(shape) = shape else {
        return Ok(Vec::new());
    };
    if shape.unknown_rank {
        return Err("shape of unknown rank".into());
    }
    let size = |size: i64| usize::try_from(size).map_err(|_| format!("axis of size {size}"));
    shape.dim.iter().map(|dim| size(dim.size)).collect()
}

/// The range in an entry; an error says what is wrong with it.
pub(crate) fn range_of(entry: &BundleEntry) -> Result<StoredRange, String> {
    let positive =
        |what: &str, value: i64| u64::try_from(value).map_err(|_| format!("{what} of {value}"));
    Ok(StoredRange {
        shard: usize::try_from(entry.shard_id)
            .map_err(|_| format!("shard number {}", entry.shard_id))?,
        offset: positive("offset", entry.offset)?,
        size: positive("size", entry.size)?,
        checksum: entry.crc32c,
    })
}

/// First index and count along each axis; an error if they leave the shape.
pub(crate) fn block_of(
    extents: &[Extent],
    shape: &[usize],
) -> Result<(Vec<usize>, Vec<usize>), String> {
    if extents.len() != shape.len() {
        return Err(format!(
            "slice of rank {} of shape {shape:?}",
            extents.len()
        ));
    }
    let axis = |(extent, &size): (&Extent, &usize)| {
        let Some((start, length)) = *extent else {
            return Ok((0, size));
        };
        let inside = || {
            let start = usize::try_from(start).ok()?;
            let length = usize::try_from(length).ok()?;
            (start.checked_add(length)? <= size).then_some((start, length))
        };
        inside().ok_or_else(|| format!("slice {start}+{length} of an axis of size {size}"))
    };
    let axes = extents.iter().zip(shape).map(axis);
    Ok(axes.collect::<Result<Vec<_>, _>>()?.into_iter().unzip())
}

/// Whether two blocks have an element in common.
pub(crate) fn overlap(a: &StoredSlice, b: &StoredSlice) -> bool {
    let axes = a.start.iter().zip(&a.size).zip(b.start.iter().zip(&b.size));
    axes.into_iter()
        .all(|((a, a_size), (b, b_size))| *a < b + b_size && *b < a + a_size)
        && !a.size.contains(&0)
        && !b.size.contains(&0)
}
