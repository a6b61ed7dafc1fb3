//! Changes of pixels by their neighbours; the image goes on beyond its edges as the pixels there.

use image::{Rgb, Rgb32FImage};
use imageproc::filter::{filter, separable_filter_equal};
use imageproc::kernel::Kernel;

use crate::error::Result;
use crate::image::Image;
use crate::ops::blur::{GaussianBlurParams, gaussian_kernel};

/// Blurs with the weights of [`gaussian_kernel`], without those beyond four standard
/// deviations.
pub(super) fn gaussian_blur(image: Image, params: GaussianBlurParams) -> Result<Image> {
    let reach = 2 * (4.0 * params.sigma).ceil() as usize;
    let kernel = gaussian_kernel(params.kernel_size.min(reach), params.sigma)?;
    separable_filter_equal(&Rgb32FImage::try_from(image)?, &kernel).try_into()
}

/// The mean over 3 x 3 pixels.
pub(super) fn box_blur(image: Image) -> Result<Image> {
    separable_filter_equal(&Rgb32FImage::try_from(image)?, &[1.0 / 3.0; 3]).try_into()
}

/// The image lit from the upper left, `alpha` of it, mixed with the image as it is. Not clipped.
pub(super) fn emboss(image: Image, alpha: f32, strength: f32) -> Result<Image> {
    let (s, rest) = (strength, 1.0 - alpha);
    let effect = [-1.0 - s, -s, 0.0, -s, 1.0, s, 0.0, s, 1.0 + s];
    let mut kernel = effect.map(|weight| alpha * weight);
    kernel[4] += rest;
    let image = Rgb32FImage::try_from(image)?;
    let embossed: Rgb32FImage =
        filter::<_, f32, _, Rgb<f32>>(&image, Kernel::new(&kernel, 3, 3), |value| value);
    embossed.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops;

    #[test]
    fn blurs_keep_edges_bright() {
        let white = Image::filled(30, 20, [1.0; 3]).unwrap();
        let params = GaussianBlurParams {
            kernel_size: 9,
            sigma: 1.5,
        };
        let blurred = [gaussian_blur(white.clone(), params), box_blur(white)];
        for blurred in blurred {
            assert!(
                blurred
                    .unwrap()
                    .data()
                    .iter()
                    .all(|v| (v - 1.0).abs() < 1e-4)
            );
        }
        let image = || Image::from_fn(40, 56, |i| ((i * 37) % 211) as f32 / 210.0);
        let mut expected = image();
        ops::gaussian_blur(&mut expected, &params).unwrap();
        let blurred = gaussian_blur(image(), params).unwrap();
        for (row, column) in [(10, 10), (20, 40)] {
            let (a, b) = (blurred.pixel(row, column), expected.pixel(row, column));
            assert!((a.unwrap()[1] - b.unwrap()[1]).abs() < 1e-5);
        }
    }

    #[test]
    fn a_point_shows_the_kernels() {
        let point = || Image::from_fn(5, 5, |i| if i / 3 == 12 { 1.0 } else { 0.0 });
        let blurred = box_blur(point()).unwrap();
        assert!((blurred.pixel(1, 3).unwrap()[0] - 1.0 / 9.0).abs() < 1e-6);
        // Filters of this kind are correlations: weights appear turned by half.
        let embossed = emboss(point(), 0.5, 0.4).unwrap();
        let at = |row, column| embossed.pixel(row, column).unwrap()[1];
        for (got, expected) in [
            (at(1, 1), 0.7),
            (at(3, 3), -0.7),
            (at(2, 1), 0.2),
            (at(2, 2), 1.0),
            (at(1, 3), 0.0),
        ] {
            assert!((got - expected).abs() < 1e-6, "{got} {expected}");
        }
        // The weights' sum is 1: even parts stay as they are.
        let gray = Image::filled(4, 6, [0.3; 3]).unwrap();
        let embossed = emboss(gray, 0.4, 0.5).unwrap();
        assert!(embossed.data().iter().all(|v| (v - 0.3).abs() < 1e-6));
    }
}
