use simclr_jpeg::Components;

use super::layout::{Color, Layout, SampleType};
use super::reason::{damaged, unsupported};

/// Decodes a strip or tile that is a JPEG file without its tables, into samples as the layout
/// has them; of YCbCr into RGB.
pub(super) fn decode(
    bytes: &[u8],
    tables: &[u8],
    layout: &Layout,
    rows: usize,
) -> Result<Vec<u8>, String> {
    let samples = layout.samples_in_chunk();
    let components = match (&layout.color, samples) {
        (Color::YCbCr(..), 3) => Components::YCbCr,
        // Writers that copy a camera's file into a strip call it RGB, whatever is in it.
        (Color::Rgb, 3) => Components::Marked,
        (Color::Gray { .. }, 1 | 2) | (Color::Rgb | Color::Cmyk, 1 | 4) => Components::Stored,
        (color, _) => {
            return Err(unsupported(format!(
                "JPEG inside of it, {color} in {samples} samples"
            )));
        }
    };
    if layout.sample_type != SampleType::Unsigned(8) {
        let kind = layout.sample_type;
        return Err(unsupported(format!("JPEG inside of it, {kind}")));
    }
    let whole = whole_file(bytes, tables).ok_or_else(|| damaged("no JPEG file"))?;
    let image = simclr_jpeg::decode_embedded(&whole, components).map_err(|error| match error {
        simclr_jpeg::Error::Unsupported(kind) => unsupported(format!("JPEG inside of it: {kind}")),
        error => damaged(error),
    })?;
    if image.width != layout.chunks.width || image.height < rows || image.channels != samples {
        let (width, height, channels) = (image.width, image.height, image.channels);
        return Err(damaged(format!(
            "the JPEG inside of it has {width} x {height} pixels of {channels} components, where \
             {} x {rows} of {samples} should be",
            layout.chunks.width
        )));
    }
    Ok(image.pixels)
}

/// The file with the tables that all chunks share.
fn whole_file(bytes: &[u8], tables: &[u8]) -> Option<Vec<u8>> {
    const START: &[u8] = b"\xFF\xD8";
    const END: &[u8] = b"\xFF\xD9";
    let mut file = START.to_vec();
    if let Some(tables) = tables.strip_prefix(START) {
        file.extend(tables.strip_suffix(END).unwrap_or(tables));
    }
    file.extend(bytes.strip_prefix(START)?);
    Some(file)
}
