use std::path::Path;

use image::{DynamicImage, ImageFormat};
use simclr_augment::DecodedImage;

use crate::error::{Error, Result};

/// Reads and decodes an image file: JPEG, and with the features of these names PNG, TIFF
/// (its first page) and BMP. The format is found out from the content, not from the name.
///
/// Grey becomes three equal channels, 16-bit values are rounded to 8 bits, an alpha
/// channel is dropped (not blended), palettes are resolved, and the orientation that a
/// camera noted is not applied: as in the original's `decode_jpeg` and `decode_png`. JPEG
/// files give the bytes that TensorFlow's decoder gives ([`simclr_jpeg`]); rare kinds
/// (CMYK, arithmetic coding, 12 bits, fractional sampling) are decoded by the `image`
/// crate, with the feature `jpeg-fallback`.
///
/// # Errors
/// If the file cannot be read, is empty, is not an image, or is truncated. The message
/// names the file.
pub fn decode_file(path: impl AsRef<Path>) -> Result<DecodedImage> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
    decode_bytes(&path.display().to_string(), &bytes)
}

/// Decodes the content of an image file; see [`decode_file`]. The `name` is for messages.
///
/// ```
/// let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../simclr-jpeg/tests/data/rgb420.jpg");
/// # if !std::path::Path::new(file).exists() { return Ok(()); }
/// let image = simclr_data::decode_bytes("rgb420.jpg", &std::fs::read(file)?)?;
/// assert_eq!((image.height(), image.width()), (66, 80));
///
/// let error = simclr_data::decode_bytes("notes.txt", b"text").unwrap_err();
/// assert!(error.to_string().starts_with("notes.txt: not an image"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the content is empty, not an image, or truncated. The message names `name`.
pub fn decode_bytes(name: &str, bytes: &[u8]) -> Result<DecodedImage> {
    decode(bytes).map_err(|reason| Error::unreadable(name, reason))
}

fn decode(bytes: &[u8]) -> Result<DecodedImage, String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let format = image::guess_format(bytes)
        .ok()
        .filter(|&format| formats().any(|(known, _)| known == format))
        .ok_or_else(|| format!("not an image that can be read ({})", readable_formats()))?;
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
            Err(simclr_jpeg::Error::Unsupported(kind)) if cfg!(feature = "jpeg-fallback") => {
                tracing::debug!("rare JPEG ({kind}): decoded by another decoder");
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    let decoded = image::load_from_memory_with_format(bytes, format)
        .map_err(|error| format!("the {format:?} file is damaged: {error}"))?;
    let (height, width) = (decoded.height() as usize, decoded.width() as usize);
    let image = match decoded {
        DynamicImage::ImageLuma8(gray) => DecodedImage::from_gray(height, width, gray.as_raw()),
        other => DecodedImage::new(height, width, other.into_rgb8().into_raw()),
    };
    image.map_err(|error| error.to_string())
}

/// The formats that are compiled in, and the endings of their files' names.
fn formats() -> impl Iterator<Item = (ImageFormat, &'static [&'static str])> {
    const FORMATS: [(ImageFormat, &[&str], bool); 4] = [
        (ImageFormat::Jpeg, &["jpg", "jpeg", "jpe"], true),
        (ImageFormat::Png, &["png"], cfg!(feature = "png")),
        (ImageFormat::Tiff, &["tif", "tiff"], cfg!(feature = "tiff")),
        (ImageFormat::Bmp, &["bmp"], cfg!(feature = "bmp")),
    ];
    let compiled = FORMATS.into_iter().filter(|(_, _, compiled)| *compiled);
    compiled.map(|(format, endings, _)| (format, endings))
}

/// The names of the formats that are compiled in, for messages.
pub(crate) fn readable_formats() -> String {
    let name = |(format, _): (ImageFormat, _)| format!("{format:?}").to_uppercase();
    formats().map(name).collect::<Vec<_>>().join(", ")
}

/// Whether a file's name ends like that of an image that can be read.
pub(crate) fn has_image_extension(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| {
        let mut known = formats().flat_map(|(_, endings)| endings);
        known.any(|known| known.eq_ignore_ascii_case(ending))
    })
}
