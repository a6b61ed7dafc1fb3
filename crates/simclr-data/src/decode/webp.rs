use image::ImageFormat;
use simclr_augment::DecodedImage;

use super::format::Format;
use super::image_crate;
use super::options::DecodeOptions;
use super::orientation::of_exif;

pub(super) const FORMAT: Format = Format {
    name: "WebP",
    extensions: &["webp"],
    recognizes: |bytes| bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"),
    decode,
    orientation: of_exif,
    read_rows: None,
};

fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<DecodedImage, String> {
    let (_, rest) = bytes.split_at_checked(4).unwrap_or_default();
    let size = rest
        .first_chunk()
        .map_or(0, |size| u32::from_le_bytes(*size));
    // Without the eight bytes up to here.
    if (bytes.len() as u64) < u64::from(size) + 8 {
        return Err("the WebP file is truncated".into());
    }
    image_crate::decode(bytes, ImageFormat::WebP, options)
}
