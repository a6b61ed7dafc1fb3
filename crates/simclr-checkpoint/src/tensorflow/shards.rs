//! The data files of a bundle.

use std::path::{Path, PathBuf};

use crc32c::crc32c_append;

use super::checksum;
use super::coding::{take, take_varint};
use super::locate::index_of;
use crate::other_formats;
use crate::ranged_file::RangedFile;
use crate::{Error, Result};

/// Values somewhere in the data files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredRange {
    pub(crate) shard: usize,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    /// Masked.
    pub(crate) checksum: u32,
}

/// All data files, open.
#[derive(Debug)]
pub(crate) struct Shards {
    /// The index that the ranges come from, for errors.
    index: PathBuf,
    files: Vec<RangedFile>,
}

impl Shards {
    /// Opens `PREFIX.data-00000-of-NNNNN` and so on.
    pub(crate) fn open(prefix: &Path, count: i32) -> Result<Self> {
        let open = |shard: i32| {
            let mut name = prefix.as_os_str().to_owned();
            name.push(format!(".data-{shard:05}-of-{count:05}"));
            RangedFile::open(Path::new(&name))
        };
        Ok(Self {
            index: index_of(prefix),
            files: (0..count).map(open).collect::<Result<_>>()?,
        })
    }

    /// The bytes of all files together.
    pub(crate) fn total_length(&self) -> u64 {
        let lengths = self.files.iter().map(RangedFile::length);
        lengths.fold(0, u64::saturating_add)
    }

    /// Calls a file what it is if it is of another format.
    pub(crate) fn check_formats(&self) -> Result<()> {
        let mut files = self.files.iter().filter(|file| file.length() > 0);
        files.try_for_each(other_formats::check)
    }

    /// Fails unless all of the range lies inside its file.
    pub(crate) fn check(&self, what: &str, range: &StoredRange) -> Result<()> {
        let file = self.file(what, range)?;
        file.check_range(what, range.offset, range.size)
    }

    fn file(&self, what: &str, range: &StoredRange) -> Result<&RangedFile> {
        self.files.get(range.shard).ok_or_else(|| {
            let (shard, count) = (range.shard, self.files.len());
            Error::malformed(&self.index, format!("{what}: in shard {shard} of {count}"))
        })
    }

    /// Passes the bytes on in pieces and compares the checksum at the end.
    pub(crate) fn for_each_chunk(
        &self,
        what: &str,
        range: &StoredRange,
        mut visit: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let file = self.file(what, range)?;
        let mut computed = 0;
        file.for_each_chunk(what, range.offset, range.size, |bytes| {
            computed = crc32c_append(computed, bytes);
            visit(bytes)
        })?;
        checksum::check(file.path(), what, range.checksum, computed)
    }

    /// Reads strings: their lengths, the checksum of these, then the bytes of all of them.
    pub(crate) fn read_strings(
        &self,
        what: &str,
        range: &StoredRange,
        count: u64,
    ) -> Result<Vec<Vec<u8>>> {
        let file = self.file(what, range)?;
        let bytes = read_elements(file, what, range, count)?;
        let mut rest = bytes.as_slice();
        let cut = || Error::malformed(file.path(), format!("{what}: broken string lengths"));
        let mut lengths = Vec::new();
        let mut computed = 0;
        for _ in 0..count {
            let length = take_varint(&mut rest).ok_or_else(cut)?;
            computed = match u32::try_from(length) {
                Ok(length) => crc32c_append(computed, &length.to_le_bytes()),
                Err(_) => crc32c_append(computed, &(length as u64).to_le_bytes()),
            };
            lengths.push(length);
        }
        // Nothing at all stands for no strings.
        if !bytes.is_empty() {
            let stored = take_array(&mut rest).ok_or_else(cut)?;
            let lengths_of = format!("{what}, string lengths");
            let masked = u32::from_le_bytes(stored);
            checksum::check(file.path(), &lengths_of, masked, computed)?;
            computed = crc32c_append(crc32c_append(computed, &stored), rest);
        }
        checksum::check(file.path(), what, range.checksum, computed)?;
        let mut string = |length| Some(take(&mut rest, length)?.to_vec());
        let strings: Option<Vec<_>> = lengths.into_iter().map(&mut string).collect();
        strings.filter(|_| rest.is_empty()).ok_or_else(cut)
    }

    /// Compares the checksums of serialized objects: each is its length, its bytes and the
    /// checksum of everything up to there, in which lengths count as eight bytes.
    pub(crate) fn verify_variants(
        &self,
        what: &str,
        range: &StoredRange,
        count: u64,
    ) -> Result<()> {
        let file = self.file(what, range)?;
        let bytes = read_elements(file, what, range, count)?;
        let mut rest = bytes.as_slice();
        let cut = || Error::malformed(file.path(), format!("{what}: broken lengths"));
        let mut computed = 0;
        for _ in 0..count {
            let length = take_varint(&mut rest).ok_or_else(cut)?;
            computed = crc32c_append(computed, &(length as u64).to_le_bytes());
            computed = crc32c_append(computed, take(&mut rest, length).ok_or_else(cut)?);
            let stored = take_array(&mut rest).ok_or_else(cut)?;
            checksum::check(file.path(), what, u32::from_le_bytes(stored), computed)?;
            computed = crc32c_append(computed, &stored);
        }
        checksum::check(file.path(), what, range.checksum, computed)?;
        if rest.is_empty() { Ok(()) } else { Err(cut()) }
    }
}

/// The bytes of `count` elements of varying length, each of at least one byte.
fn read_elements(
    file: &RangedFile,
    what: &str,
    range: &StoredRange,
    count: u64,
) -> Result<Vec<u8>> {
    if count > range.size {
        let reason = format!("{what}: {count} elements in {} bytes", range.size);
        return Err(Error::malformed(file.path(), reason));
    }
    file.read(what, range.offset, range.size)
}

fn take_array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = bytes.split_first_chunk()?;
    *bytes = tail;
    Some(*head)
}
