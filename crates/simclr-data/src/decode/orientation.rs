use exif::{In, Reader, Tag};
use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};
use simclr_augment::DecodedImage;

use super::content::Content;

/// How a file's EXIF data ask to turn its picture, as EXIF numbers it.
pub(super) fn of_exif(file: Content<'_>) -> Option<u8> {
    let exif = Reader::new().read_from_container(&mut file.reader()).ok()?;
    let field = exif.get_field(Tag::Orientation, In::PRIMARY)?;
    field.value.get_uint(0)?.try_into().ok()
}

/// The picture, turned and mirrored as an orientation says.
pub(super) fn turned(image: DecodedImage, orientation: u8) -> Result<DecodedImage, String> {
    let Some(orientation) = Orientation::from_exif(orientation) else {
        return Ok(image);
    };
    let pixels = RgbImage::try_from(image).map_err(|error| error.to_string())?;
    let mut pixels = DynamicImage::from(pixels);
    pixels.apply_orientation(orientation);
    DecodedImage::try_from(pixels.into_rgb8()).map_err(|error| error.to_string())
}
