//! A file that is read by range, so that opening costs nothing and memory stays small.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::InFile;
use crate::{Error, Result};

/// Bytes read or written at once: stays in the second-level cache.
pub(crate) const CHUNK: usize = 1 << 18;

/// An open file of known length.
#[derive(Debug)]
pub(crate) struct RangedFile {
    path: PathBuf,
    length: u64,
    file: Handle,
}

impl RangedFile {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).in_file(path)?;
        let metadata = file.metadata().in_file(path)?;
        if !metadata.is_file() {
            return Err(Error::malformed(path, "expected a file, found a folder"));
        }
        Ok(Self {
            path: path.to_owned(),
            length: metadata.len(),
            file: Handle::new(file),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Fails unless `length` bytes from `offset` lie inside the file.
    pub(crate) fn check_range(&self, what: &str, offset: u64, length: u64) -> Result<()> {
        if offset
            .checked_add(length)
            .is_some_and(|end| end <= self.length)
        {
            return Ok(());
        }
        Err(Error::malformed(
            &self.path,
            format!(
                "{what}: {length} bytes from offset {offset} lie outside the file of {} bytes",
                self.length
            ),
        ))
    }

    /// Reads a range as a whole; its size is checked before anything is allocated.
    pub(crate) fn read(&self, what: &str, offset: u64, length: u64) -> Result<Vec<u8>> {
        self.check_range(what, offset, length)?;
        let size = usize::try_from(length)
            .map_err(|_| Error::malformed(&self.path, format!("{what}: {length} bytes")))?;
        let mut bytes = vec![0; size];
        self.fill(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Passes a range on in pieces of at most [`CHUNK`] bytes, a multiple of 8 but for the last.
    pub(crate) fn for_each_chunk(
        &self,
        what: &str,
        offset: u64,
        length: u64,
        mut visit: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        self.check_range(what, offset, length)?;
        let mut buffer = vec![0; usize::try_from(length).map_or(CHUNK, |n| n.min(CHUNK))];
        let mut position = offset;
        let mut left = length;
        while left > 0 {
            let size = usize::try_from(left).map_or(CHUNK, |n| n.min(CHUNK));
            let (piece, _) = buffer.split_at_mut(size);
            self.fill(position, piece)?;
            visit(piece)?;
            position += size as u64;
            left -= size as u64;
        }
        Ok(())
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, offset).in_file(&self.path)
    }
}

#[cfg(unix)]
#[derive(Debug)]
struct Handle(File);

#[cfg(unix)]
impl Handle {
    fn new(file: File) -> Self {
        Self(file)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, buffer, offset)
    }
}

/// Where files have no positioned reads of the same meaning, one reader at a time moves the cursor.
#[cfg(not(unix))]
#[derive(Debug)]
struct Handle(std::sync::Mutex<File>);

#[cfg(not(unix))]
impl Handle {
    fn new(file: File) -> Self {
        Self(std::sync::Mutex::new(file))
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = self.0.lock().unwrap_or_else(|poison| poison.into_inner());
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(buffer)
    }
}
