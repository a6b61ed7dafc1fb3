//! What several tests of bundles need.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use simclr_checkpoint::tensorflow::Bundle;
use simclr_checkpoint::{ElementType, Values};

use crate::support::{Part, append};

/// TensorFlow's number and ours for every type of number.
pub(crate) const TYPES: [(i32, ElementType); 13] = [
    (1, ElementType::F32),
    (2, ElementType::F64),
    (3, ElementType::I32),
    (4, ElementType::U8),
    (5, ElementType::I16),
    (6, ElementType::I8),
    (9, ElementType::I64),
    (10, ElementType::Bool),
    (14, ElementType::BF16),
    (17, ElementType::U16),
    (19, ElementType::F16),
    (22, ElementType::U32),
    (23, ElementType::U64),
];

pub(crate) fn open_and_verify(path: &Path) -> simclr_checkpoint::Result<Bundle> {
    let bundle = Bundle::open(path)?;
    bundle.verify()?;
    Ok(bundle)
}

pub(crate) fn some_floats(count: usize) -> Vec<f32> {
    (0..count).map(|i| i as f32).collect()
}

/// The block of `bytes` that begins at `start` and has `size`.
fn block(bytes: &[u8], width: usize, shape: &[usize], start: &[usize], size: &[usize]) -> Vec<u8> {
    let Some((&rows, inner)) = shape.split_first() else {
        return bytes.to_vec();
    };
    let stride = inner.iter().product::<usize>() * width;
    (0..rows)
        .filter(|row| (start[0]..start[0] + size[0]).contains(row))
        .flat_map(|row| {
            let row = &bytes[row * stride..(row + 1) * stride];
            block(row, width, inner, &start[1..], &size[1..])
        })
        .collect()
}

/// Cuts along every axis where the cut leaves two parts.
pub(crate) fn parts(
    bytes: &[u8],
    width: usize,
    shape: &[usize],
    cuts: &[usize],
    shards: usize,
) -> Vec<Part> {
    let mut blocks = vec![(Vec::new(), Vec::new())];
    for (&size, &cut) in shape.iter().zip(cuts) {
        let pieces = if cut == 0 || cut == size {
            vec![(0, size)]
        } else {
            vec![(0, cut), (cut, size - cut)]
        };
        blocks = blocks
            .iter()
            .flat_map(|(start, sizes): &(Vec<usize>, Vec<usize>)| {
                pieces.iter().map(|&(begin, length)| {
                    (
                        [&start[..], &[begin]].concat(),
                        [&sizes[..], &[length]].concat(),
                    )
                })
            })
            .collect();
    }
    let extents = |start: &[usize], size: &[usize]| {
        let axes = start.iter().zip(size).zip(shape);
        axes.map(|((&start, &size), &whole)| (size != whole).then_some((start as i64, size as i64)))
            .collect()
    };
    let numbered = blocks.iter().enumerate();
    numbered
        .map(|(number, (start, size))| Part {
            extents: extents(start, size),
            bytes: block(bytes, width, shape, start, size),
            shard: number % shards,
            checksum: None,
        })
        .collect()
}

/// The keys and values of an index, in order (by way of the sample's own content).
pub(crate) fn read_entries(prefix: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let index = std::fs::read(append(prefix, ".index")).unwrap();
    let mut entries = BTreeMap::new();
    for block in blocks(&index) {
        entries.extend(block);
    }
    entries.into_iter().collect()
}

/// The data blocks of an uncompressed table.
pub(crate) fn blocks(index: &[u8]) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut footer = &index[index.len() - 48..];
    let _meta = (varint(&mut footer), varint(&mut footer));
    let (offset, size) = (varint(&mut footer), varint(&mut footer));
    let handles = entries_of(&index[offset..offset + size]);
    handles
        .iter()
        .map(|(_, handle)| {
            let mut handle = handle.as_slice();
            let (offset, size) = (varint(&mut handle), varint(&mut handle));
            entries_of(&index[offset..offset + size])
        })
        .collect()
}

fn entries_of(block: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let count = u32::from_le_bytes(*block.last_chunk().unwrap()) as usize;
    let mut rest = &block[..block.len() - 4 * (count + 1)];
    let mut entries: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    while !rest.is_empty() {
        let (shared, unshared, value) = (varint(&mut rest), varint(&mut rest), varint(&mut rest));
        let mut key = entries
            .last()
            .map_or(Vec::new(), |(key, _)| key[..shared].to_vec());
        key.extend(&rest[..unshared]);
        entries.push((key, rest[unshared..unshared + value].to_vec()));
        rest = &rest[unshared + value..];
    }
    entries
}

pub(crate) fn varint(bytes: &mut &[u8]) -> usize {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let (number, rest) = bytes.split_at(length);
    *bytes = rest;
    number
        .iter()
        .rev()
        .fold(0, |value, &byte| value << 7 | usize::from(byte & 0x7f))
}

/// The bytes of values.
pub(crate) fn bytes_of(values: &Values) -> Vec<u8> {
    macro_rules! bytes {
        ($($variant:ident),*) => {
            match values {
                $(Values::$variant(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),)*
                Values::Bool(v) => v.iter().map(|&v| u8::from(v)).collect(),
                other => unreachable!("{other:?}"),
            }
        };
    }
    bytes!(F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64)
}
