use super::layout::{Color, Layout, SampleType};
use super::reason::{damaged, unsupported};
use crate::decode::channels::keep_first;

/// Decodes a strip or tile that is a JPEG file without its tables, into samples as the layout
/// has them: RGB of RGB and YCbCr, one sample of grey and of each plane.
pub(super) fn decode(
    bytes: &[u8],
    tables: &[u8],
    layout: &Layout,
    rows: usize,
) -> Result<Vec<u8>, String> {
    let samples = layout.samples_in_chunk();
    // Whether the three channels are RGB or YCbCr is said by TIFF's tags, not by the file.
    let transform = match (&layout.color, samples) {
        (Color::Gray { .. }, 1) => None,
        (Color::Rgb, 1) => None,
        (Color::Rgb, 3) => Some(0),
        (Color::YCbCr(..), 3) => Some(1),
        (color, _) => {
            return Err(unsupported(format!(
                "JPEG inside of it, {samples} samples of {color:?}"
            )));
        }
    };
    if layout.sample_type != SampleType::Unsigned(8) {
        return Err(unsupported(format!(
            "JPEG inside of it, {:?}",
            layout.sample_type
        )));
    }
    let whole = whole_file(bytes, tables, transform).ok_or_else(|| damaged("no JPEG file"))?;
    if !simclr_jpeg::is_complete(&whole) {
        return Err(damaged("the JPEG inside of it ends early"));
    }
    let image = simclr_jpeg::decode(&whole).map_err(|error| match error {
        simclr_jpeg::Error::Unsupported(kind) => unsupported(format!("JPEG inside of it: {kind}")),
        error => damaged(error),
    })?;
    if image.width != layout.chunks.width || image.height < rows {
        let (width, height) = (image.width, image.height);
        return Err(damaged(format!(
            "the JPEG inside of it has {width} x {height} pixels"
        )));
    }
    let mut pixels = image.pixels;
    if samples == 1 {
        keep_first(&mut pixels, 3, 1);
    }
    Ok(pixels)
}

/// The file with the tables that all chunks share, and with Adobe's marker, which says how to
/// understand the channels.
fn whole_file(bytes: &[u8], tables: &[u8], transform: Option<u8>) -> Option<Vec<u8>> {
    const START: &[u8] = b"\xFF\xD8";
    const END: &[u8] = b"\xFF\xD9";
    let mut file = START.to_vec();
    if let Some(transform) = transform {
        file.extend(b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0");
        file.push(transform);
    }
    if let Some(tables) = tables.strip_prefix(START) {
        file.extend(tables.strip_suffix(END).unwrap_or(tables));
    }
    file.extend(without_application_segments(bytes.strip_prefix(START)?));
    Some(file)
}

/// What follows the segments of JFIF, Adobe and others, which would say it otherwise.
fn without_application_segments(mut file: &[u8]) -> &[u8] {
    while let [0xFF, 0xE0..=0xEF, high, low, ..] = *file {
        let length = 2 + usize::from(u16::from_be_bytes([high, low]));
        file = file.get(length..).unwrap_or_default();
    }
    file
}
