use crate::crop_box::CropBox;
use crate::error::Result;
use crate::image::{Image, ImageBuffer};
use crate::ops::color::passes::{ColorPasses, resize_and_recolor};
use crate::ops::crop::center_crop_box;
use crate::ops::resizer::Resizer;
use crate::ops::taps::Resampling;
use crate::sample::{Sample, Source};

/// Resizes a whole image to `height` x `width`.
///
/// # Errors
/// If `height` or `width` is 0.
pub fn resize<S: Sample>(
    source: &ImageBuffer<S>,
    height: usize,
    width: usize,
    resampling: Resampling,
) -> Result<Image> {
    resize_source(source.into(), (height, width), resampling)
}

/// [`resize`] of either type.
pub(crate) fn resize_source(
    source: Source<'_>,
    size: (usize, usize),
    resampling: Resampling,
) -> Result<Image> {
    let whole = CropBox::whole(source.height, source.width);
    crop_and_resize_source(source, whole, size, resampling)
}

/// Cuts `crop_box` out of `source` and resizes it to `height` x `width`
/// (`crop_and_resize` with the box given). The values are not clipped: bicubic
/// weights are partly negative, so the result may leave [0, 1].
///
/// # Errors
/// If the box does not lie inside the image, or `height` or `width` is 0.
pub fn crop_and_resize<S: Sample>(
    source: &ImageBuffer<S>,
    crop_box: CropBox,
    height: usize,
    width: usize,
    resampling: Resampling,
) -> Result<Image> {
    crop_and_resize_source(source.into(), crop_box, (height, width), resampling)
}

fn crop_and_resize_source(
    source: Source<'_>,
    crop_box: CropBox,
    size: (usize, usize),
    resampling: Resampling,
) -> Result<Image> {
    let mut image = Image::zeros(size.0, size.1)?;
    let resizer = Resizer::new(source, crop_box, size, resampling)?;
    resize_and_recolor(resizer, ColorPasses::none(), image.data_mut());
    Ok(image)
}

/// The original's centre crop: [`center_crop_box`], resized to `height` x `width`.
/// The values are not clipped.
///
/// # Errors
/// As [`center_crop_box`].
pub fn center_crop<S: Sample>(
    source: &ImageBuffer<S>,
    height: usize,
    width: usize,
    proportion: f64,
    resampling: Resampling,
) -> Result<Image> {
    let image = (source.height(), source.width());
    let crop_box = center_crop_box(image, (height, width), proportion)?;
    crop_and_resize(source, crop_box, height, width, resampling)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image::{CHANNELS, DecodedImage};
    use crate::ops::taps::Taps;

    fn noise(height: usize, width: usize) -> DecodedImage {
        DecodedImage::from_fn(height, width, |i| {
            (i.wrapping_mul(2_654_435_761) >> 7) as u8
        })
    }

    /// The definition, one output value at a time.
    fn reference(
        image: &Image,
        crop_box: CropBox,
        size: (usize, usize),
        r: Resampling,
    ) -> Vec<f32> {
        let rows = Taps::along(r, crop_box.height, size.0);
        let columns = Taps::along(r, crop_box.width, size.1);
        // Pixels that do not exist have no weight.
        let weights = |taps: &Taps, start: usize| {
            let places = (start + taps.start..).zip(taps.weights.map(f64::from));
            places
                .filter(|&(_, weight)| weight != 0.0)
                .collect::<Vec<_>>()
        };
        let mut out = Vec::new();
        for row in &rows {
            for column in &columns {
                let mut sums = [0.0; CHANNELS];
                for (y, wy) in weights(row, crop_box.y) {
                    for (x, wx) in weights(column, crop_box.x) {
                        for (sum, value) in sums.iter_mut().zip(image.pixel(y, x).unwrap()) {
                            *sum += wy * wx * f64::from(value);
                        }
                    }
                }
                out.extend(sums.map(|sum| sum as f32));
            }
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_the_definition(
            (height, width) in (1usize..40, 1usize..40),
            size in (1usize..30, 1usize..30),
            (top, left, h, w) in (0.0..1.0, 0.0..1.0, 0.0..1.0, 0.0..1.0),
        ) {
            let part = |share: f64, whole: usize| (share * whole as f64) as usize;
            let (y, x) = (part(top, height), part(left, width));
            let crop_box = CropBox { y, x, height: 1 + part(h, height - y), width: 1 + part(w, width - x) };
            prop_assume!(crop_box.is_inside(height, width));
            let decoded = noise(height, width);
            let image = decoded.to_image();
            for resampling in [Resampling::Bicubic, Resampling::BicubicLegacy, Resampling::Bilinear] {
                let expected = reference(&image, crop_box, size, resampling);
                let from_floats = crop_and_resize(&image, crop_box, size.0, size.1, resampling).unwrap();
                let from_bytes = crop_and_resize(&decoded, crop_box, size.0, size.1, resampling).unwrap();
                for result in [from_floats.data(), from_bytes.data()] {
                    for (a, b) in result.iter().zip(&expected) {
                        prop_assert!((a - b).abs() < 2e-6);
                    }
                }
            }
        }
    }

    #[test]
    fn the_same_size_is_a_copy() {
        let decoded = noise(9, 7);
        let copy = resize(&decoded, 9, 7, Resampling::Bicubic).unwrap();
        assert_eq!(copy, decoded.to_image());
    }

    #[test]
    fn boxes_outside_are_refused() {
        let crop_box = CropBox {
            y: 5,
            x: 0,
            height: 5,
            width: 3,
        };
        let error = crop_and_resize(&noise(9, 7), crop_box, 4, 4, Resampling::Bicubic).unwrap_err();
        let expected =
            "the crop box 5 x 3 at row 5, column 0 does not lie inside an image of 9 x 7 pixels";
        assert_eq!(error.to_string(), expected);
        assert!(resize(&noise(3, 3), 0, 4, Resampling::Bilinear).is_err());
    }
}
