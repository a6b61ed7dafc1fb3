use simclr_augment::{DecodedImage, RowSink};

use super::chunk::{ChunkReader, Rows};
use super::color::to_rgb;
use super::directory::{Directory, is_tiff, tag};
use super::layout::Layout;
use super::reason::damaged;
use super::samples::{to_bytes, undo_predictor};
use crate::decode::collector::Collector;
use crate::decode::content::Content;
use crate::decode::format::Format;
use crate::decode::options::DecodeOptions;

pub(in crate::decode) const FORMAT: Format = Format {
    name: "TIFF",
    extensions: &["tif", "tiff", "tf8", "btf"],
    recognizes: is_tiff,
    decode,
    orientation,
    read_rows: Some(read_rows),
};

/// The longest row of a strip or tile, in bytes.
const MAX_ROW_BYTES: usize = 1 << 30;

/// Rows that are decoded at a time where a strip or tile is as wide as the picture.
const BAND_HEIGHT: usize = 64;

fn decode(file: &[u8], options: &DecodeOptions) -> Result<DecodedImage, String> {
    let mut image = Collector::default();
    read_rows(Content::of_bytes(file), options, &mut image)?;
    image.finish()
}

/// Reads the page that [`Directory::read`] chooses. Strips and tiles are read row by row, so that memory is needed for
/// rows alone, and none before the file has shown its data.
fn read_rows(
    file: Content<'_>,
    options: &DecodeOptions,
    sink: &mut dyn RowSink,
) -> Result<(), String> {
    let directory = Directory::read(file)?;
    let layout = Layout::of(&directory, options)?;
    let chunks = ChunkReader::new(&directory, &layout)?;
    sink.begin(layout.height, layout.width);
    let row_bytes = layout.width * 3;
    let (across, down) = chunks.grid();
    let mut rgb = Vec::new();
    for index in 0..down {
        let height = layout.chunks.height;
        let rows = height.min(layout.height - index * height);
        if across == 1 {
            let mut chunk = Chunk::open(&chunks, &layout, index)?;
            for top in (0..rows).step_by(BAND_HEIGHT) {
                set_len(&mut rgb, BAND_HEIGHT.min(rows - top) * row_bytes);
                chunk.read(&mut rgb)?;
                sink.rows(&rgb);
            }
            chunk.finish()?;
            continue;
        }
        set_len(&mut rgb, rows * row_bytes);
        for column in 0..across {
            let mut chunk = Chunk::open(&chunks, &layout, index * across + column)?;
            chunk.read(&mut rgb)?;
            chunk.finish()?;
        }
        sink.rows(&rgb);
    }
    Ok(())
}

/// Makes room for so many bytes, all of which will be written. New ones are zeros of the system's,
/// which take memory only when they are: a file may promise more than it has.
fn set_len(bytes: &mut Vec<u8>, len: usize) {
    if bytes.len() != len {
        *bytes = vec![0; len];
    }
}

/// A strip or tile, with those of the other planes.
struct Chunk<'a> {
    layout: &'a Layout,
    planes: Vec<Rows<'a>>,
    /// Bytes of a row of it.
    row_len: usize,
    /// Columns left of it, and those of it that belong to the picture.
    left: usize,
    visible: usize,
    row: Vec<u8>,
    pixels: Vec<u8>,
}

impl<'a> Chunk<'a> {
    fn open(chunks: &ChunkReader<'a>, layout: &'a Layout, index: usize) -> Result<Self, String> {
        let (width, channels) = (layout.chunks.width, layout.channels());
        let row_len = layout.row_len();
        if row_len > MAX_ROW_BYTES {
            return Err(damaged(format!("a row of it has {row_len} bytes")));
        }
        let planes = if layout.is_planar { channels } else { 1 };
        let open = |plane| chunks.open(plane, index);
        let left = index % chunks.grid().0 * width;
        let visible = width.min(layout.width - left);
        Ok(Self {
            layout,
            planes: (0..planes).map(open).collect::<Result<_, _>>()?,
            row_len,
            left,
            visible,
            row: Vec::new(),
            pixels: vec![0; visible * channels],
        })
    }

    /// Reads its next rows into those of the picture.
    fn read(&mut self, rgb: &mut [u8]) -> Result<(), String> {
        let layout = self.layout;
        let channels = layout.channels();
        let per_plane = if layout.is_planar { 1 } else { channels };
        for rgb in rgb.chunks_exact_mut(layout.width * 3) {
            for (plane, reader) in self.planes.iter_mut().enumerate() {
                reader.read_row(&mut self.row, self.row_len)?;
                undo_predictor(&mut self.row, layout);
                let pixels = &mut self.pixels[plane..];
                to_bytes(&self.row, layout, per_plane, pixels, channels)?;
            }
            let visible = &mut rgb[self.left * 3..(self.left + self.visible) * 3];
            to_rgb(&mut self.pixels, layout, visible);
        }
        Ok(())
    }

    /// Fails if its data have another checksum than they should, where they have one.
    fn finish(&mut self) -> Result<(), String> {
        if !self.layout.has_checksum() {
            return Ok(());
        }
        // A tile's rows below the picture, and the byte that would follow.
        let len = self.layout.stored_len(self.layout.chunks.height);
        let planes = &mut self.planes;
        planes
            .iter_mut()
            .try_for_each(|plane| plane.check_end(len.saturating_add(1)))
    }
}

fn orientation(file: Content<'_>) -> Option<u8> {
    let orientation = Directory::read(file)
        .ok()?
        .number_or(tag::ORIENTATION, 1)
        .ok()?;
    u8::try_from(orientation).ok()
}
