use image::{Rgb, RgbImage, imageops};
use simclr_augment::{DecodedImage, Image};

use crate::error::{Error, Result};

/// Space around and between images, in pixels.
const MARGIN: usize = 6;
/// Extra space after the first column, so that originals stand apart from their views.
const FIRST_COLUMN_MARGIN: usize = 10;
const BACKGROUND: Rgb<u8> = Rgb([250; 3]);

/// Rows of images on a light background.
///
/// Each image is centred in its cell; cells are as large as the largest image. The first
/// column stands a little apart, for originals beside their views. Values outside [0, 1]
/// are clipped.
///
/// ```
/// use simclr_augment::Image;
///
/// let image = Image::filled(8, 8, [0.2, 0.4, 0.6])?;
/// let grid = simclr_data::image_grid(&[vec![image.clone(); 3], vec![image; 3]])?;
/// assert_eq!((grid.height(), grid.width()), (6 + 2 * (8 + 6), 6 + 3 * (8 + 6) + 10));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If there is no image.
pub fn image_grid(rows: &[Vec<Image>]) -> Result<DecodedImage> {
    let images = || rows.iter().flatten();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell_height = images().map(Image::height).max();
    let cell_width = images().map(Image::width).max();
    let (Some(cell_height), Some(cell_width)) = (cell_height, cell_width) else {
        let name = "the number of images in a grid";
        return Err(Error::setting(name, "at least 1", 0));
    };
    let height = MARGIN + rows.len() * (cell_height + MARGIN);
    let apart = if columns > 1 { FIRST_COLUMN_MARGIN } else { 0 };
    let width = MARGIN + columns * (cell_width + MARGIN) + apart;
    let mut grid = RgbImage::from_pixel(width as u32, height as u32, BACKGROUND);
    for (r, row) in rows.iter().enumerate() {
        for (c, image) in row.iter().enumerate() {
            let extra = if c > 0 { apart } else { 0 };
            let top = MARGIN + r * (cell_height + MARGIN) + (cell_height - image.height()) / 2;
            let left =
                MARGIN + c * (cell_width + MARGIN) + extra + (cell_width - image.width()) / 2;
            let image = RgbImage::try_from(image.to_decoded())?;
            imageops::replace(&mut grid, &image, left as i64, top as i64);
        }
    }
    Ok(grid.try_into()?)
}
