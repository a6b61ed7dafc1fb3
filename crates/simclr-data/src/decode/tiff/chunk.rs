use std::io::{self, BufRead, Cursor, Read};

use super::compression::decompress;
use super::directory::{Directory, tag};
use super::jpeg;
use super::layout::{Color, Layout, compression};
use super::reason::{damaged, unsupported};
use super::ycbcr::FullResolution;
use crate::decode::content::Content;

/// Strips or tiles of a page, decompressed one by one.
pub(super) struct ChunkReader<'a> {
    directory: &'a Directory<'a>,
    layout: &'a Layout,
    offsets: Vec<u64>,
    /// Fewer than offsets where the file does not say.
    byte_counts: Vec<u64>,
    /// Where chunks, the directory and its values begin, in order.
    starts: Vec<u64>,
    is_bit_reversed: bool,
    t4_options: u64,
}

/// The rows of a strip or tile.
pub(super) struct Rows<'a> {
    reader: Box<dyn Read + 'a>,
    name: String,
}

impl<'a> ChunkReader<'a> {
    pub(super) fn new(directory: &'a Directory<'a>, layout: &'a Layout) -> Result<Self, String> {
        let tags = [
            (tag::TILE_OFFSETS, tag::TILE_BYTE_COUNTS),
            (tag::STRIP_OFFSETS, tag::STRIP_BYTE_COUNTS),
        ];
        // Some writers of tiles use the tags of strips.
        let first = usize::from(!layout.chunks.are_tiles || !directory.has(tags[0].0));
        let (offsets, byte_counts) = tags[first];
        let offsets = directory.numbers(offsets)?.unwrap_or_default();
        let mut starts: Vec<u64> = offsets.iter().copied().chain(directory.starts()).collect();
        starts.sort_unstable();
        let chunks = Self {
            directory,
            layout,
            offsets,
            starts,
            byte_counts: directory.numbers(byte_counts)?.unwrap_or_default(),
            is_bit_reversed: directory.number_or(tag::FILL_ORDER, 1)? == 2,
            t4_options: directory.number_or(tag::T4_OPTIONS, 0)?,
        };
        let planes = if layout.is_planar { layout.samples } else { 1 };
        let (across, down) = chunks.grid();
        let needed = across.saturating_mul(down).saturating_mul(planes);
        if chunks.offsets.len() < needed {
            let found = chunks.offsets.len();
            return Err(damaged(format!(
                "it has {found} strips or tiles of {needed}"
            )));
        }
        Ok(chunks)
    }

    /// Chunks in a row, and rows of chunks.
    pub(super) fn grid(&self) -> (usize, usize) {
        let (layout, chunks) = (self.layout, self.layout.chunks);
        (
            layout.width.div_ceil(chunks.width),
            layout.height.div_ceil(chunks.height),
        )
    }

    /// Opens a chunk of a plane by its place in the grid.
    pub(super) fn open(&self, plane: usize, index: usize) -> Result<Rows<'a>, String> {
        let (layout, (across, down)) = (self.layout, self.grid());
        let number = plane * across * down + index;
        let kind = if layout.chunks.are_tiles {
            "tile"
        } else {
            "strip"
        };
        let name = format!("{kind} {number}");
        // A strip's last rows are not there; a tile is whole.
        let top = index / across * layout.chunks.height;
        let rows = layout.chunks.height.min(layout.height - top);
        if self.offsets[number] == 0 {
            return Err(unsupported(format!("{name} has no data (a sparse file)")));
        }
        let content = self.content(number, rows);
        let reader = if layout.compression == compression::JPEG {
            let tables = self.directory.bytes(tag::JPEG_TABLES)?.unwrap_or_default();
            let pixels = jpeg::decode(&content.bytes()?, &tables, layout, rows);
            Box::new(Cursor::new(
                pixels.map_err(|reason| format!("{reason} ({name})"))?,
            )) as Box<_>
        } else {
            let bytes: Box<dyn BufRead + 'a> = if self.is_bit_reversed {
                let bytes = content.bytes()?;
                let reversed: Vec<u8> = bytes.iter().map(|byte| byte.reverse_bits()).collect();
                Box::new(Cursor::new(reversed))
            } else {
                content.reader()
            };
            decompress(
                layout.compression,
                bytes,
                layout.chunks.width,
                self.t4_options,
            )?
        };
        let reader = match *layout.decompressed_color() {
            Color::YCbCr(horizontal, vertical) if !self.is_full(number, rows) => {
                FullResolution::of(reader, layout, horizontal, vertical)?
            }
            _ => reader,
        };
        Ok(Rows { reader, name })
    }

    /// Whether a chunk has all samples of all pixels, though TIFF says that colours are subsampled
    /// where no tag tells by how much.
    fn is_full(&self, number: usize, rows: usize) -> bool {
        let layout = self.layout;
        let is_tagged = self.directory.has(tag::YCBCR_SUBSAMPLING);
        let rows = if layout.chunks.are_tiles {
            layout.chunks.height
        } else {
            rows
        };
        let len = layout.row_len().saturating_mul(rows) as u64;
        let count = self.byte_counts.get(number);
        !is_tagged && layout.compression == compression::NONE && count == Some(&len)
    }

    /// The bytes of a chunk. Some writers give no size, 0, one size for all chunks, or too small
    /// ones: then a chunk may go on up to the next thing in the file, of which as much is used as
    /// there are rows. A compressed one that is too small has been cut off.
    fn content(&self, number: usize, rows: usize) -> Content<'a> {
        let (layout, start) = (self.layout, self.offsets[number]);
        let needed = match layout.compression {
            compression::NONE => layout.stored_len(rows) as u64,
            _ => 1,
        };
        let told = self.byte_counts.get(number);
        let length = told.copied().filter(|count| *count >= needed);
        let length = length.unwrap_or_else(|| {
            let next = self.starts.partition_point(|other| *other <= start);
            self.starts.get(next).map_or(u64::MAX, |next| next - start)
        });
        self.directory.file.part(start, length)
    }
}

impl Rows<'_> {
    /// Reads the next row. Memory is reserved as the data come, whatever the file promises.
    pub(super) fn read_row(&mut self, row: &mut Vec<u8>, len: usize) -> Result<(), String> {
        row.clear();
        let read = self.reader.by_ref().take(len as u64).read_to_end(row);
        let why = match read {
            Ok(_) if row.len() == len => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => error.to_string(),
            _ => "the data end early".into(),
        };
        Err(damaged(format!("{}: {why}", self.name)))
    }

    /// Compares the checksum behind the last row, if the data go on for no more than so many bytes.
    /// Data that end without one are whole.
    pub(super) fn check_end(&mut self, len: usize) -> Result<(), String> {
        let rest = &mut self.reader.by_ref().take(len as u64);
        match io::copy(rest, &mut io::sink()) {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                Err(damaged(format!("{}: {error}", self.name)))
            }
            _ => Ok(()),
        }
    }
}
