//! One image file to RGB bytes.

use std::path::Path;

use image::{DynamicImage, ImageFormat};
use simclr_augment::DecodedImage;

use crate::{Error, Result};

/// Reads and decodes an image file: JPEG, PNG, TIFF or BMP, found out from its
/// content and not from its name.
///
/// Grey becomes three equal channels, 16-bit values are rounded to 8 bits, an
/// alpha channel is dropped (not blended), palettes are resolved, and the
/// orientation that a camera noted is not applied: what `decode_jpeg` and
/// `decode_png` of the original do. JPEG files give the bytes that TensorFlow's
/// decoder gives, its fast inverse transform included; only rare kinds (CMYK,
/// arithmetic coding, 12 bits, fractional sampling) are decoded accurately instead.
///
/// # Errors
/// If the file cannot be read, is empty, is not an image, or is truncated. The
/// message names the file.
pub fn decode_file(path: impl AsRef<Path>) -> Result<DecodedImage> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
    decode_bytes(&bytes).map_err(|reason| Error::Unreadable {
        name: path.display().to_string(),
        reason,
    })
}

/// Decodes the content of an image file; see [`decode_file`].
pub(crate) fn decode_bytes(bytes: &[u8]) -> Result<DecodedImage, String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let format = image::guess_format(bytes)
        .ok()
        .filter(|format| FORMATS.contains(format))
        .ok_or("not an image that can be read (JPEG, PNG, TIFF and BMP are)")?;
    if format == ImageFormat::Jpeg {
        // `image` fills what is missing with grey and reports success.
        if !simclr_jpeg::is_complete(bytes) {
            return Err("the JPEG file is truncated: its end marker is missing".into());
        }
        match simclr_jpeg::decode(bytes) {
            Ok(image) => {
                let image = DecodedImage::new(image.height, image.width, image.pixels);
                return image.map_err(|error| error.to_string());
            }
            Err(simclr_jpeg::Error::Unsupported(kind)) => {
                tracing::debug!("rare JPEG ({kind}): decoded with an accurate transform");
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    let decoded = image::load_from_memory_with_format(bytes, format)
        .map_err(|error| format!("the {format:?} file is damaged: {error}"))?;
    to_rgb(decoded)
}

const FORMATS: [ImageFormat; 4] = [
    ImageFormat::Jpeg,
    ImageFormat::Png,
    ImageFormat::Tiff,
    ImageFormat::Bmp,
];

fn to_rgb(decoded: DynamicImage) -> Result<DecodedImage, String> {
    let (height, width) = (decoded.height() as usize, decoded.width() as usize);
    let image = match decoded {
        DynamicImage::ImageLuma8(gray) => DecodedImage::from_gray(height, width, gray.as_raw()),
        other => DecodedImage::new(height, width, other.into_rgb8().into_raw()),
    };
    image.map_err(|error| error.to_string())
}
