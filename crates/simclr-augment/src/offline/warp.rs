//! Changes of where pixels are; bilinear between them, and the size is kept.

use image::{Rgb, Rgb32FImage};
use imageproc::geometric_transformations::{Border as Extension, Interpolation, warp_with};

use crate::error::Result;
use crate::image::Image;
use crate::ops::rotate::Border;

/// An image whose pixel (x, y) comes from `source(x, y)`.
fn warp(
    image: Image,
    border: Border,
    source: impl Fn(f32, f32) -> (f32, f32) + Send + Sync,
) -> Result<Image> {
    let image = Rgb32FImage::try_from(image)?;
    let (last_x, last_y) = (image.width() as f32 - 1.0, image.height() as f32 - 1.0);
    let source = |x, y| {
        let (x, y) = source(x, y);
        match border {
            Border::Reflect => (reflect(x, last_x), reflect(y, last_y)),
            Border::Nearest | Border::Black => (x, y),
        }
    };
    let extension = match border {
        Border::Reflect | Border::Nearest => Extension::Replicate,
        Border::Black => Extension::Constant(Rgb([0.0; 3])),
    };
    warp_with(&image, source, Interpolation::Bilinear, extension).try_into()
}

/// Folds a position into [0, last], as if the image were mirrored at its outermost pixels.
fn reflect(position: f32, last: f32) -> f32 {
    if last > 0.0 {
        last - (position.rem_euclid(2.0 * last) - last).abs()
    } else {
        0.0
    }
}

/// Enlarges by `scale` and rotates counter-clockwise by `degrees` about the
/// image's centre, then shifts by `shift` = [down, right] as parts of height and
/// width.
pub(super) fn shift_scale_rotate(
    image: Image,
    [down, right]: [f32; 2],
    scale: f32,
    degrees: f32,
    border: Border,
) -> Result<Image> {
    let (width, height) = (image.width() as f32, image.height() as f32);
    let (last_x, last_y) = (width - 1.0, height - 1.0);
    // Not the platform's functions, whose last bits differ from one platform to another.
    let (sin, cos) = libm::sincosf(degrees.to_radians());
    warp(image, border, |x, y| {
        let dx = (x - last_x / 2.0 - right * width) / scale;
        let dy = (y - last_y / 2.0 - down * height) / scale;
        let from_x = last_x / 2.0 + dx * cos - dy * sin;
        let from_y = last_y / 2.0 + dx * sin + dy * cos;
        (from_x, from_y)
    })
}

/// What a lens with the coefficient k for the second and the fourth power of the distance
/// does, in OpenCV's model: distances from the centre, as parts of width and height, grow by
/// `1 + k r^2 + k r^4`.
pub(super) fn optical_distortion(image: Image, k: f32, border: Border) -> Result<Image> {
    let (width, height) = (image.width() as f32, image.height() as f32);
    let (middle_x, middle_y) = ((width - 1.0) / 2.0, (height - 1.0) / 2.0);
    warp(image, border, |x, y| {
        let (dx, dy) = ((x - middle_x) / width, (y - middle_y) / height);
        let squared = dx * dx + dy * dy;
        let growth = 1.0 + k * squared * (1.0 + squared);
        (
            middle_x + dx * growth * width,
            middle_y + dy * growth * height,
        )
    })
}

/// Stretches the cells of a grid, by these factors of `columns` and `rows`: one for each cell,
/// and one for the pixels that are left over, of which the last goes to the image's end.
pub(super) fn grid_distortion(
    image: Image,
    columns: &[f32],
    rows: &[f32],
    border: Border,
) -> Result<Image> {
    let from_x = grid_positions(image.width(), columns);
    let from_y = grid_positions(image.height(), rows);
    // The positions asked for are those of pixels.
    warp(image, border, |x, y| {
        (from_x[x as usize], from_y[y as usize])
    })
}

/// Where each pixel of a side comes from.
fn grid_positions(length: usize, factors: &[f32]) -> Vec<f32> {
    let cell = length / (factors.len() - 1).max(1);
    let mut positions = Vec::with_capacity(length);
    let mut from = 0.0;
    for (index, factor) in factors.iter().enumerate() {
        let (count, to) = if index + 1 < factors.len() {
            (cell, from + cell as f32 * factor)
        } else {
            (length - positions.len(), length as f32)
        };
        // From the first to the last pixel of the cell.
        let step = (to - from) / (count.max(2) - 1) as f32;
        positions.extend((0..count).map(|pixel| from + step * pixel as f32));
        from = to;
    }
    positions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops;

    fn image() -> Image {
        Image::from_fn(40, 56, |i| ((i * 37) % 211) as f32 / 210.0)
    }

    fn assert_close(a: &Image, b: &Image) {
        assert_eq!((a.height(), a.width()), (b.height(), b.width()));
        for (a, b) in a.data().iter().zip(b.data()) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }

    #[test]
    fn warps_rotate_shift_and_scale() {
        let (image, none) = (image(), [0.0; 2]);
        for border in [Border::Reflect, Border::Nearest, Border::Black] {
            let warped = shift_scale_rotate(image.clone(), none, 1.0, 17.0, border).unwrap();
            assert_close(&warped, &ops::rotate(&image, 17.0, border).unwrap());
        }
        let shift = [0.25, 0.5];
        let shifted = shift_scale_rotate(image.clone(), shift, 1.0, 0.0, Border::Black).unwrap();
        assert_eq!(shifted.pixel(11, 29), image.pixel(1, 1));
        assert_eq!(shifted.pixel(0, 3), Some([0.0; 3]));
        // The two centre pixels of a row at twice the size lie a quarter from the middle.
        let gray = |column: f32| [column; 3];
        let ramp = Image::from_fn(4, 4, |i| (i / 3 % 4) as f32);
        let larger = shift_scale_rotate(ramp, none, 2.0, 0.0, Border::Nearest).unwrap();
        assert_eq!(larger.pixel(1, 1), Some(gray(1.25)));
        assert_eq!(larger.pixel(1, 3), Some(gray(2.25)));
    }

    #[test]
    fn a_lens_moves_corners_and_leaves_the_centre() {
        // Each pixel tells its column.
        let columns = Image::from_fn(41, 41, |i| (i / 3 % 41) as f32 / 40.0);
        let none = optical_distortion(columns.clone(), 0.0, Border::Nearest).unwrap();
        assert_close(&none, &columns);
        let barrel = optical_distortion(columns.clone(), 0.05, Border::Nearest).unwrap();
        assert_eq!(barrel.pixel(20, 20), columns.pixel(20, 20));
        // 10 pixels from the centre: r² = (10/41)², which adds 10 k r² (1 + r²) pixels.
        let squared = (10.0f32 / 41.0).powi(2);
        let expected = (30.0 + 10.0 * 0.05 * squared * (1.0 + squared)) / 40.0;
        let got = barrel.pixel(20, 30).unwrap()[0];
        assert!((got - expected).abs() < 1e-5, "{got} {expected}");
    }

    #[test]
    fn cells_of_a_grid_are_stretched_one_by_one() {
        // Two cells of 5 pixels, and a rest of one.
        let positions = grid_positions(11, &[1.2, 0.8, 1.0]);
        assert_eq!(positions[..5], [0.0, 1.5, 3.0, 4.5, 6.0]);
        assert_eq!(positions[5..], [6.0, 7.0, 8.0, 9.0, 10.0, 10.0]);
        for (length, cells) in [(1, 1), (2, 2), (7, 5), (50, 5)] {
            assert_eq!(grid_positions(length, &vec![1.0; cells + 1]).len(), length);
        }
        let image = image();
        let distorted = grid_distortion(image.clone(), &[0.7; 6], &[1.3; 6], Border::Reflect);
        assert_ne!(distorted.unwrap(), image);
    }
}
