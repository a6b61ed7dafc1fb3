use simclr_augment::DecodedImage;

use super::format::Format;
use super::options::DecodeOptions;
use super::orientation::of_exif;

pub(super) const FORMAT: Format = Format {
    name: "JPEG",
    extensions: &["jpg", "jpeg", "jpe", "jfif"],
    recognizes: |bytes| bytes.starts_with(b"\xFF\xD8\xFF"),
    decode,
    orientation: of_exif,
};

fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<DecodedImage, String> {
    // Decoding refuses it too, but for what it meets first.
    if !simclr_jpeg::is_complete(bytes) {
        return Err("the JPEG file is truncated: its end marker is missing".into());
    }
    let (height, width) = simclr_jpeg::dimensions(bytes).map_err(|error| error.to_string())?;
    options.admit(width, height)?;
    let image = simclr_jpeg::decode(bytes).map_err(|error| error.to_string())?;
    let image = DecodedImage::new(image.height, image.width, image.pixels);
    image.map_err(|error| error.to_string())
}
