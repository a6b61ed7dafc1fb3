use exif::{Error, Exif, In, Reader, Tag};
use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};
use simclr_augment::DecodedImage;

use super::content::Content;

/// How a file's EXIF data ask to turn its picture, as EXIF numbers it.
pub(super) fn of_exif(file: Content<'_>) -> Option<u8> {
    let read = reader().read_from_container(&mut file.reader());
    orientation(read)
}

/// The same of the EXIF data themselves.
#[cfg(feature = "png")]
pub(super) fn of_exif_data(data: &[u8]) -> Option<u8> {
    orientation(reader().read_raw(data.to_vec()))
}

/// Many files have flaws in other fields than the orientation, for which other readers turn them
/// all the same.
fn reader() -> Reader {
    let mut reader = Reader::new();
    reader.continue_on_error(true);
    reader
}

fn orientation(read: Result<Exif, Error>) -> Option<u8> {
    let exif = read
        .or_else(|error| error.distill_partial_result(drop))
        .ok()?;
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
