use simclr_augment::DecodedImage;

use super::chunk::ChunkReader;
use super::color::to_rgb;
use super::directory::{Directory, is_tiff, tag};
use super::layout::Layout;
use super::reason::damaged;
use super::samples::{to_bytes, undo_predictor};
use crate::decode::format::Format;
use crate::decode::options::DecodeOptions;

pub(in crate::decode) const FORMAT: Format = Format {
    name: "TIFF",
    extensions: &["tif", "tiff", "tf8", "btf"],
    recognizes: is_tiff,
    decode,
    orientation,
};

/// The longest row of a strip or tile, in bytes.
const MAX_ROW_BYTES: usize = 1 << 30;

/// Decodes the first page. Strips and tiles are read row by row, so that memory is needed for
/// the picture alone, and none before the file has shown its data.
fn decode(file: &[u8], options: &DecodeOptions) -> Result<DecodedImage, String> {
    let directory = Directory::read(file)?;
    let layout = Layout::of(&directory, options)?;
    let chunks = ChunkReader::new(&directory, &layout)?;
    let mut rgb = Vec::new();
    let row_bytes = layout.width * 3;
    let reserved = rgb.try_reserve_exact(row_bytes.saturating_mul(layout.height));
    reserved.map_err(|error| format!("the picture is too large for the memory: {error}"))?;
    let (across, down) = chunks.grid();
    for band in 0..down {
        let top = band * layout.chunks.height;
        let rows = layout.chunks.height.min(layout.height - top);
        rgb.resize(rgb.len() + rows * row_bytes, 0);
        for column in 0..across {
            let band_pixels = &mut rgb[top * row_bytes..];
            read_chunk(&chunks, &layout, band * across + column, band_pixels)?;
        }
    }
    let image = DecodedImage::new(layout.height, layout.width, rgb);
    image.map_err(|error| error.to_string())
}

/// Reads a strip or tile, with those of the other planes, into the rows that it lies in.
fn read_chunk(
    chunks: &ChunkReader<'_>,
    layout: &Layout,
    index: usize,
    band: &mut [u8],
) -> Result<(), String> {
    let channels = layout.color.channels();
    let (planes, per_plane) = if layout.is_planar {
        (channels, 1)
    } else {
        (1, channels)
    };
    let row_len = layout
        .chunks
        .width
        .saturating_mul(layout.samples_in_chunk());
    let row_len = row_len
        .saturating_mul(layout.sample_type.bits())
        .div_ceil(8);
    if row_len > MAX_ROW_BYTES {
        return Err(damaged(format!("a row of it has {row_len} bytes")));
    }
    let open = |plane| chunks.open(plane, index);
    let mut readers = (0..planes).map(open).collect::<Result<Vec<_>, _>>()?;
    let left = index % chunks.grid().0 * layout.chunks.width;
    let visible = layout.chunks.width.min(layout.width - left);
    let (mut row, mut pixels) = (Vec::new(), vec![0; visible * channels]);
    for rgb in band.chunks_exact_mut(layout.width * 3) {
        for (plane, reader) in readers.iter_mut().enumerate() {
            reader.read_row(&mut row, row_len)?;
            undo_predictor(&mut row, layout);
            to_bytes(&row, layout, per_plane, &mut pixels[plane..], channels)?;
        }
        to_rgb(
            &pixels,
            layout.decompressed_color(),
            &mut rgb[left * 3..(left + visible) * 3],
        );
    }
    Ok(())
}

fn orientation(file: &[u8]) -> Option<u8> {
    let orientation = Directory::read(file)
        .ok()?
        .number_or(tag::ORIENTATION, 1)
        .ok()?;
    u8::try_from(orientation).ok()
}
