use simclr_augment::{DecodedImage, RowSink};

use super::content::Content;
use super::format::Format;
use super::options::DecodeOptions;
use super::orientation::of_exif;

pub(super) const FORMAT: Format = Format {
    name: "JPEG",
    extensions: &["jpg", "jpeg", "jpe", "jfif"],
    recognizes: |bytes| bytes.starts_with(b"\xFF\xD8\xFF"),
    decode,
    orientation: of_exif,
    read_rows: Some(read_rows),
};

fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<DecodedImage, String> {
    admit(bytes, options)?;
    let image = simclr_jpeg::decode(bytes).map_err(|error| error.to_string())?;
    let image = DecodedImage::new(image.height, image.width, image.pixels);
    image.map_err(|error| error.to_string())
}

fn read_rows(
    content: Content<'_>,
    options: &DecodeOptions,
    sink: &mut dyn RowSink,
) -> Result<(), String> {
    let bytes = content.bytes()?;
    let (height, width) = admit(&bytes, options)?;
    sink.begin(height, width);
    let read = simclr_jpeg::decode_rows(&bytes, &mut |rows| sink.rows(rows));
    read.map_err(|error| error.to_string())
}

/// Height and width of a complete file's picture, if it is as large as allowed.
fn admit(bytes: &[u8], options: &DecodeOptions) -> Result<(usize, usize), String> {
    // Decoding refuses it too, but for what it meets first.
    if !simclr_jpeg::is_complete(bytes) {
        return Err("the JPEG file is truncated: its end marker is missing".into());
    }
    let (height, width) = simclr_jpeg::dimensions(bytes).map_err(|error| error.to_string())?;
    options.admit(width, height)?;
    Ok((height, width))
}
