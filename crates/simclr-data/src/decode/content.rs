use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};

/// The content of a file or a part of it: in memory, or read when it is needed.
#[derive(Clone, Copy)]
pub(super) struct Content<'a> {
    source: Source<'a>,
    start: u64,
    end: u64,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Memory(&'a [u8]),
    File(&'a File),
}

/// What formats are read from.
pub(super) trait Input: BufRead + Seek {}

impl<T: BufRead + Seek> Input for T {}

impl<'a> Content<'a> {
    pub(super) fn of_bytes(bytes: &'a [u8]) -> Self {
        Self {
            source: Source::Memory(bytes),
            start: 0,
            end: bytes.len() as u64,
        }
    }

    /// The file is sought in; it must not be read elsewhere at the same time.
    pub(super) fn of_file(file: &'a File) -> io::Result<Self> {
        Ok(Self {
            source: Source::File(file),
            start: 0,
            end: file.metadata()?.len(),
        })
    }

    #[cfg(feature = "tiff")]
    pub(super) fn len(&self) -> u64 {
        self.end - self.start
    }

    /// A part, up to the end at most.
    pub(super) fn part(&self, start: u64, length: u64) -> Self {
        let start = self.start.saturating_add(start).min(self.end);
        let end = start.saturating_add(length).min(self.end);
        Self {
            start,
            end,
            ..*self
        }
    }

    /// All bytes of it.
    pub(super) fn bytes(&self) -> Result<Cow<'a, [u8]>, String> {
        if let Source::Memory(bytes) = self.source {
            return Ok(Cow::Borrowed(
                &bytes[self.start as usize..self.end as usize],
            ));
        }
        let mut bytes = Vec::new();
        let read = self.reader().read_to_end(&mut bytes);
        read.map_err(|error| format!("it cannot be read: {error}"))?;
        Ok(Cow::Owned(bytes))
    }

    pub(super) fn reader(&self) -> Box<dyn Input + 'a> {
        match self.source {
            Source::Memory(bytes) => {
                Box::new(Cursor::new(&bytes[self.start as usize..self.end as usize]))
            }
            Source::File(file) => Box::new(BufReader::new(FileReader {
                file,
                start: self.start,
                end: self.end,
                position: self.start,
            })),
        }
    }
}

/// Reads a part of a file, in which others seek meanwhile.
struct FileReader<'a> {
    file: &'a File,
    start: u64,
    end: u64,
    position: u64,
}

impl Read for FileReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.position);
        let room = out.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.file.seek(SeekFrom::Start(self.position))?;
        let count = self.file.read(&mut out[..room])?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for FileReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => self.start.checked_add(offset),
            SeekFrom::End(offset) => self.end.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        let inside = position.filter(|position| *position >= self.start);
        self.position = inside.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position - self.start)
    }
}
