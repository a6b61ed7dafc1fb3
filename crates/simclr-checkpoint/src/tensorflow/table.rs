//! Sorted tables in LevelDB's file format.
//!
//! A file is a sequence of blocks and a footer. The footer points to the index block, whose
//! values point to the data blocks. A block holds keys in ascending order, each without the
//! prefix that it shares with the one before, and ends with the offsets of the keys that are
//! whole (restarts). Behind each block stand a byte for its compression and a checksum.

use super::checksum;
use super::coding::{take, take_varint};
use crate::other_formats;
use crate::ranged_file::RangedFile;
use crate::{Error, Result};

const FOOTER: u64 = 48;
/// The last bytes of a table.
pub(super) const MAGIC: u64 = 0xdb47_7524_8b80_fb57;

/// Compression type and checksum.
const TRAILER: u64 = 5;

const UNCOMPRESSED: u8 = 0;
const SNAPPY: u8 = 1;

/// Snappy's shortest element for its longest copy is 3 bytes for 64.
const SNAPPY_LARGEST_RATIO: usize = 22;

/// Prefix compression could blow a small file up to any size; names are far shorter than this.
const LONGEST_KEY: usize = 1 << 16;
const ALL_KEYS: usize = 1 << 26;

/// Offset and size of a block in the file.
type BlockHandle = (u64, u64);

fn take_handle(bytes: &mut &[u8]) -> Option<BlockHandle> {
    Some((take_varint(bytes)? as u64, take_varint(bytes)? as u64))
}

/// Passes on all keys and values of a table, in ascending order of the keys.
pub(crate) fn for_each_entry(
    file: &RangedFile,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>,
) -> Result<()> {
    let index = read_block(file, "index block", read_footer(file)?)?;
    let mut last: Option<Vec<u8>> = None;
    let mut total = 0;
    for_each_in_block(file, &index, |_, mut handle| {
        let handle = take_handle(&mut handle)
            .ok_or_else(|| Error::malformed(file.path(), "index block: broken block handle"))?;
        let what = format!("data block at offset {}", handle.0);
        let block = read_block(file, &what, handle)?;
        for_each_in_block(file, &block, |key, value| {
            if last.as_deref().is_some_and(|last| last >= key) {
                let reason = format!("{what}: keys not in ascending order");
                return Err(Error::malformed(file.path(), reason));
            }
            total += key.len();
            if total > ALL_KEYS {
                let reason = format!("the keys have more than {ALL_KEYS} bytes");
                return Err(Error::malformed(file.path(), reason));
            }
            let last = last.get_or_insert_default();
            last.clear();
            last.extend_from_slice(key);
            visit(key, value)
        })
    })
}

/// The handle of the index block.
fn read_footer(file: &RangedFile) -> Result<BlockHandle> {
    let malformed = |reason: &str| Error::malformed(file.path(), reason);
    let length = file.length();
    let Some(start) = length.checked_sub(FOOTER) else {
        other_formats::check(file)?;
        let reason = format!("{length} bytes: too short for the footer of a checkpoint index");
        return Err(malformed(&reason));
    };
    let footer = file.read("footer", start, FOOTER)?;
    let magic = footer.last_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    if magic != Some(MAGIC) {
        other_formats::check(file)?;
        return Err(malformed(
            "not a checkpoint index, or cut off: it does not end with the table's magic number",
        ));
    }
    let mut handles = footer.as_slice();
    let _meta_index = take_handle(&mut handles);
    take_handle(&mut handles).ok_or_else(|| malformed("footer: broken block handle"))
}

/// Reads a block, compares its checksum and decompresses it.
fn read_block(file: &RangedFile, what: &str, (offset, size): BlockHandle) -> Result<Vec<u8>> {
    let malformed = |reason: &str| Error::malformed(file.path(), format!("{what}: {reason}"));
    let length = size.checked_add(TRAILER);
    let length = length.ok_or_else(|| malformed("impossible size"))?;
    let mut bytes = file.read(what, offset, length)?;
    let stored = bytes.last_chunk().map(|crc| u32::from_le_bytes(*crc));
    let stored = stored.ok_or_else(|| malformed("no checksum"))?;
    bytes.truncate(bytes.len().saturating_sub(4));
    checksum::check(file.path(), what, stored, crc32c::crc32c(&bytes))?;
    match bytes.pop() {
        Some(UNCOMPRESSED) => Ok(bytes),
        Some(SNAPPY) => {
            let size = snap::raw::decompress_len(&bytes).map_err(|e| malformed(&e.to_string()))?;
            if size > bytes.len().saturating_mul(SNAPPY_LARGEST_RATIO) {
                return Err(malformed("impossible compression ratio"));
            }
            let decoded = snap::raw::Decoder::new().decompress_vec(&bytes);
            decoded.map_err(|error| malformed(&error.to_string()))
        }
        kind => Err(malformed(&format!(
            "compression type {kind:?}, expected 0 (none) or 1 (Snappy)"
        ))),
    }
}

/// Passes on the keys and values of one block.
fn for_each_in_block(
    file: &RangedFile,
    block: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>,
) -> Result<()> {
    let malformed = |reason: &str| Error::malformed(file.path(), format!("block: {reason}"));
    let mut rest = without_restarts(block).ok_or_else(|| malformed("broken restart array"))?;
    let mut key = Vec::new();
    while !rest.is_empty() {
        let (shared, suffix, value) =
            take_entry(&mut rest).ok_or_else(|| malformed("an entry reaches beyond the end"))?;
        if shared > key.len() {
            return Err(malformed("an entry shares more than the key before it has"));
        }
        key.truncate(shared);
        key.extend_from_slice(suffix);
        if key.len() > LONGEST_KEY {
            let reason = format!("a key of more than {LONGEST_KEY} bytes");
            return Err(malformed(&reason));
        }
        visit(&key, value)?;
    }
    Ok(())
}

/// The entries in front of the restart array: offsets and their count, four bytes each. The
/// offsets serve binary search, which nobody needs who reads a block as a whole.
fn without_restarts(block: &[u8]) -> Option<&[u8]> {
    let count = usize::try_from(u32::from_le_bytes(*block.last_chunk()?)).ok()?;
    let end = block
        .len()
        .checked_sub(count.checked_add(1)?.checked_mul(4)?)?;
    let (entries, restarts) = block.split_at_checked(end)?;
    let (offsets, _) = restarts.as_chunks();
    let inside = |&offset: &[u8; 4]| u32::from_le_bytes(offset) as usize <= end;
    offsets.iter().take(count).all(inside).then_some(entries)
}

/// Length of the shared prefix, rest of the key, value.
fn take_entry<'a>(bytes: &mut &'a [u8]) -> Option<(usize, &'a [u8], &'a [u8])> {
    let shared = take_varint(bytes)?;
    let unshared = take_varint(bytes)?;
    let value = take_varint(bytes)?;
    Some((shared, take(bytes, unshared)?, take(bytes, value)?))
}
