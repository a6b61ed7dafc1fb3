use std::io::Cursor;

use png::{ColorType, Decoder, DecodingError, Limits, Transformations};
use simclr_augment::DecodedImage;

use super::channels::keep_first;
use super::format::Format;
use super::options::DecodeOptions;
use super::orientation::of_exif;

pub(super) const FORMAT: Format = Format {
    name: "PNG",
    extensions: &["png", "apng"],
    recognizes: |bytes| bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
    decode,
    orientation: of_exif,
};

/// As TensorFlow's `decode_png`: palettes are resolved, of 16 bits the upper eight count, and
/// alpha is dropped and not blended. Of an animation, the default picture.
fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<DecodedImage, String> {
    // The limit is on what the decoder holds beside the picture, such as rows.
    let limits = Limits { bytes: usize::MAX };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(reason)?;
    let (width, height) = (header.width as usize, header.height as usize);
    options.admit(width, height)?;
    let mut reader = decoder.read_info().map_err(reason)?;
    let size = reader
        .output_buffer_size()
        .ok_or("the picture is too large")?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(reason)?;
    // Up to the end marker, without which the file is truncated.
    reader.finish().map_err(reason)?;
    pixels.truncate(frame.buffer_size());
    let image = match frame.color_type {
        ColorType::Grayscale => DecodedImage::from_gray(height, width, &pixels),
        ColorType::GrayscaleAlpha => {
            keep_first(&mut pixels, 2, 1);
            DecodedImage::from_gray(height, width, &pixels)
        }
        ColorType::Rgba => {
            keep_first(&mut pixels, 4, 3);
            DecodedImage::new(height, width, pixels)
        }
        ColorType::Rgb | ColorType::Indexed => DecodedImage::new(height, width, pixels),
    };
    image.map_err(|error| error.to_string())
}

fn reason(error: DecodingError) -> String {
    format!("the PNG file is damaged: {error}")
}
