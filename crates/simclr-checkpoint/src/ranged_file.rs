//! A file that is read by range, so that opening costs nothing and memory stays small.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, InFile, Result};

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
            file: Handle::from(file),
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
        let end = offset.checked_add(length);
        if end.is_some_and(|end| end <= self.length) {
            return Ok(());
        }
        let reason = format!(
            "{what}: {length} bytes from offset {offset} lie outside the file of {} bytes",
            self.length
        );
        Err(Error::malformed(&self.path, reason))
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
        let mut buffer = vec![0; length.min(CHUNK as u64) as usize];
        let mut done = 0;
        while done < length {
            buffer.truncate((length - done).min(CHUNK as u64) as usize);
            self.fill(offset + done, &mut buffer)?;
            visit(&buffer)?;
            done += buffer.len() as u64;
        }
        Ok(())
    }

    /// The file from its beginning.
    pub(crate) fn reader(&self) -> impl io::Read {
        Reader { file: self, at: 0 }
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        read_exact_at(&self.file, buffer, offset).in_file(&self.path)
    }
}

struct Reader<'a> {
    file: &'a RangedFile,
    at: u64,
}

impl io::Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.file.length - self.at).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let (buffer, _) = buffer.split_at_mut(count);
        read_exact_at(&self.file.file, buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(unix)]
type Handle = File;

#[cfg(unix)]
fn read_exact_at(file: &Handle, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Where files have no positioned reads of the same meaning, one reader at a time moves the cursor.
#[cfg(not(unix))]
type Handle = std::sync::Mutex<File>;

#[cfg(not(unix))]
fn read_exact_at(file: &Handle, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = file.lock().unwrap_or_else(|poison| poison.into_inner());
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(buffer)
}
