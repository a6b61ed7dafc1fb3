use std::io::{Cursor, ErrorKind};

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};
use simclr_augment::DecodedImage;

use super::options::DecodeOptions;

/// Decodes a file with the image crate.
pub(super) fn decode(
    bytes: &[u8],
    format: ImageFormat,
    options: &DecodeOptions,
) -> Result<DecodedImage, String> {
    let reason = |error| reason(format, error);
    let reader = ImageReader::with_format(Cursor::new(bytes), format);
    let decoder = reader.into_decoder().map_err(reason)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    options.admit(width, height)?;
    let image = match DynamicImage::from_decoder(decoder).map_err(reason)? {
        DynamicImage::ImageLuma8(gray) => DecodedImage::from_gray(height, width, gray.as_raw()),
        other => DecodedImage::new(height, width, other.into_rgb8().into_raw()),
    };
    image.map_err(|error| error.to_string())
}

fn reason(format: ImageFormat, error: ImageError) -> String {
    let name = if format == ImageFormat::Bmp {
        "BMP"
    } else {
        "WebP"
    };
    match error {
        ImageError::Unsupported(error) => format!("this kind of {name} is not read: {error}"),
        ImageError::Limits(error) => format!("the picture is too large: {error}"),
        ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            format!("the {name} file is truncated")
        }
        error => format!("the {name} file is damaged: {error}"),
    }
}
