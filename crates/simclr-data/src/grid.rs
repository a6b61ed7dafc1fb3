//! Pictures side by side.

use std::path::Path;

use image::{ExtendedColorType, ImageFormat};
use simclr_augment::{DecodedImage, Image};

use crate::{Error, Result};

/// Space around and between pictures, in pixels.
const MARGIN: usize = 6;
/// Extra space after the first column, so that originals stand apart from their views.
const FIRST_COLUMN_MARGIN: usize = 10;
/// Background.
const PAPER: u8 = 250;

/// Rows of pictures on a light ground.
///
/// Each picture sits in the middle of its field; fields are as large as the largest
/// picture. The first column stands a little apart, for originals beside their
/// views. Values outside [0, 1] are clipped.
///
/// ```
/// use simclr_augment::Image;
///
/// let picture = Image::filled(8, 8, [0.2, 0.4, 0.6])?;
/// let grid = simclr_data::image_grid(&[vec![picture.clone(); 3], vec![picture; 3]])?;
/// assert_eq!((grid.height(), grid.width()), (6 + 2 * (8 + 6), 6 + 3 * (8 + 6) + 10));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If there is no picture.
pub fn image_grid(rows: &[Vec<Image>]) -> Result<DecodedImage> {
    let pictures = || rows.iter().flatten();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let field_height = pictures().map(Image::height).max();
    let field_width = pictures().map(Image::width).max();
    let (Some(field_height), Some(field_width)) = (field_height, field_width) else {
        return Err(Error::parameter(
            "the number of pictures in a grid",
            "at least 1",
            0,
        ));
    };
    let height = MARGIN + rows.len() * (field_height + MARGIN);
    let apart = if columns > 1 { FIRST_COLUMN_MARGIN } else { 0 };
    let width = MARGIN + columns * (field_width + MARGIN) + apart;
    let mut ground = vec![PAPER; height * width * 3];
    for (r, row) in rows.iter().enumerate() {
        for (c, picture) in row.iter().enumerate() {
            let extra = if c > 0 { apart } else { 0 };
            let top = MARGIN + r * (field_height + MARGIN) + (field_height - picture.height()) / 2;
            let left =
                MARGIN + c * (field_width + MARGIN) + extra + (field_width - picture.width()) / 2;
            paste(&picture.to_decoded(), top, left, &mut ground, width);
        }
    }
    Ok(DecodedImage::new(height, width, ground)?)
}

fn paste(picture: &DecodedImage, top: usize, left: usize, ground: &mut [u8], width: usize) {
    let rows = picture.data().chunks_exact(picture.width() * 3);
    let lines = ground.chunks_exact_mut(width * 3).skip(top);
    for (line, row) in lines.zip(rows) {
        if let Some(place) = line.get_mut(left * 3..left * 3 + row.len()) {
            place.copy_from_slice(row);
        }
    }
}

/// Saves a picture as PNG: to a temporary file beside its place first, so that
/// nothing half-written is left behind.
///
/// # Errors
/// If the file cannot be written. The message names it.
pub fn save_png(picture: &DecodedImage, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let fail = |source: std::io::Error| Error::io(path, source);
    let mut bytes = std::io::Cursor::new(Vec::new());
    // Sides that a PNG cannot have do not fit in memory either.
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    image::write_buffer_with_format(
        &mut bytes,
        picture.data(),
        width,
        height,
        ExtendedColorType::Rgb8,
        ImageFormat::Png,
    )
    .map_err(|error| fail(std::io::Error::other(error)))?;
    let temporary = path.with_extension("png.part");
    std::fs::write(&temporary, bytes.into_inner())
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(|error| {
            // Nothing was there before; if removing fails too, the first error counts.
            let _ = std::fs::remove_file(&temporary);
            fail(error)
        })
}
