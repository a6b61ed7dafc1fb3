use std::path::Path;

use image::{ExtendedColorType, ImageFormat};
use simclr_augment::DecodedImage;
use simclr_files::{Durability, write_atomically};

use crate::error::{Error, Result};

/// Saves an image as PNG: to a temporary file beside its place first, so that nothing
/// half-written is left behind.
///
/// # Errors
/// If the file cannot be written. The message names it.
pub fn save_png(image: &DecodedImage, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let fail = |source| Error::io(path, source);
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::write_buffer_with_format(
        &mut bytes,
        image.data(),
        // Sides that a PNG cannot have do not fit in memory either.
        image.width() as u32,
        image.height() as u32,
        ExtendedColorType::Rgb8,
        ImageFormat::Png,
    )
    .map_err(|error| fail(std::io::Error::other(error)))?;
    write_atomically(path, Durability::Buffered, |file| {
        file.write_all(bytes.get_ref()).map_err(fail)
    })
}
