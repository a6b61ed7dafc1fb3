//! Gaussian blur.

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::ops::color::{check_probability, happens, uniform};
use crate::ops::pixel::clip;
use crate::{CHANNELS, Error, Image, Result};

/// Whether and how much a view is blurred.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GaussianBlur {
    /// Probability of a blur. Default: 0.5.
    pub probability: f64,
    /// Smallest and largest standard deviation, in pixels; uniform between them.
    /// Default: 0.1 and 2.
    pub sigma: (f64, f64),
    /// The kernel is this part of the image's height (rounded down, then made
    /// odd). Default: 10, for a tenth.
    pub height_divisor: usize,
}

impl Default for GaussianBlur {
    fn default() -> Self {
        Self {
            probability: 0.5,
            sigma: (0.1, 2.0),
            height_divisor: 10,
        }
    }
}

/// A blur with its numbers decided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GaussianBlurValues {
    /// Taps of the kernel; an even number gets one more.
    pub kernel_size: usize,
    /// Standard deviation in pixels.
    pub sigma: f32,
}

impl GaussianBlur {
    /// Checks the ranges.
    ///
    /// # Errors
    /// If the probability is outside [0, 1], the range of sigma is empty, not
    /// positive or not finite, or the divisor is 0.
    pub fn validate(&self) -> Result<()> {
        const OP: &str = "Gaussian blur";
        check_probability(OP, self.probability)?;
        let (low, high) = self.sigma;
        if !(low > 0.0 && low <= high && high.is_finite()) {
            return Err(Error::parameter(
                OP,
                "sigma",
                "a range of positive numbers",
                format_args!("{low}..{high}"),
            ));
        }
        if self.height_divisor == 0 {
            return Err(Error::parameter(OP, "height_divisor", "at least 1", 0));
        }
        Ok(())
    }

    /// Decides whether to blur an image of `height` rows, and how much.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn sample(&self, height: usize, rng: &mut impl Rng) -> Result<Option<GaussianBlurValues>> {
        self.validate()?;
        let happens = happens(self.probability, rng);
        let values = GaussianBlurValues {
            kernel_size: height / self.height_divisor,
            sigma: uniform(self.sigma.0, self.sigma.1, rng),
        };
        Ok(happens.then_some(values))
    }
}

/// The blur's weights: `exp(-x^2 / (2 sigma^2))` for x in -r..=r, r = kernel_size / 2,
/// divided by their sum.
///
/// # Errors
/// If `sigma` is not positive and finite.
pub fn gaussian_kernel(kernel_size: usize, sigma: f32) -> Result<Vec<f32>> {
    if !(sigma > 0.0 && sigma.is_finite()) {
        return Err(Error::parameter(
            "Gaussian blur",
            "sigma",
            "positive and finite",
            sigma,
        ));
    }
    let radius = (kernel_size / 2) as i64;
    let weight = |x: i64| (-((x * x) as f32) / (2.0 * sigma * sigma)).exp();
    let sum: f32 = (-radius..=radius).map(weight).sum();
    Ok((-radius..=radius).map(|x| weight(x) / sum).collect())
}

/// Weights below this cannot change a value of [0, 1] by more than a fraction of
/// its last bit, so their taps are left out.
const NEGLIGIBLE: f32 = 1e-9;

/// Blurs with [`gaussian_kernel`], along rows and then along columns. Outside the
/// image there are zeros, so borders get darker, as in the original.
///
/// # Errors
/// If `sigma` is not positive and finite.
pub fn gaussian_blur(image: &mut Image, values: &GaussianBlurValues) -> Result<()> {
    let kernel = gaussian_kernel(values.kernel_size, values.sigma)?;
    let row_length = image.width() * CHANNELS;
    blur_in_place::<false>(image.data_mut(), row_length, &kernel);
    Ok(())
}

/// [`gaussian_blur`] of rows of `row_length` values, clipped to [0, 1] if `CLIP`.
pub(crate) fn blur_in_place<const CLIP: bool>(data: &mut [f32], row_length: usize, kernel: &[f32]) {
    // Half the symmetric kernel, from the middle outwards.
    let half: Vec<f32> = kernel[kernel.len() / 2..]
        .iter()
        .copied()
        .take_while(|&weight| weight > NEGLIGIBLE)
        .collect();
    let Some((&middle, sides)) = half.split_first() else {
        return;
    };
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let horizontal = blur_rows(data, row_length, middle, sides);
            blur_columns::<CLIP>(&horizontal, data, row_length, middle, sides);
        },
    );
}

#[inline(always)]
fn blur_rows(data: &[f32], row_length: usize, middle: f32, sides: &[f32]) -> Vec<f32> {
    let margin = sides.len() * CHANNELS;
    let mut padded = vec![0.0; row_length + 2 * margin];
    let mut blurred = vec![0.0; data.len()];
    let rows = data.chunks_exact(row_length);
    for (row, target) in rows.zip(blurred.chunks_exact_mut(row_length)) {
        padded[margin..margin + row_length].copy_from_slice(row);
        for (t, v) in target.iter_mut().zip(row) {
            *t = v * middle;
        }
        for (step, weight) in (1..).zip(sides) {
            let before = &padded[margin - step * CHANNELS..][..row_length];
            let after = &padded[margin + step * CHANNELS..][..row_length];
            for ((t, a), b) in target.iter_mut().zip(before).zip(after) {
                *t += (a + b) * weight;
            }
        }
    }
    blurred
}

#[inline(always)]
fn blur_columns<const CLIP: bool>(
    source: &[f32],
    data: &mut [f32],
    row_length: usize,
    middle: f32,
    sides: &[f32],
) {
    let height = source.len() / row_length;
    let zeros = vec![0.0; row_length];
    let row = |y: Option<usize>| match y {
        Some(y) if y < height => &source[y * row_length..(y + 1) * row_length],
        _ => &zeros,
    };
    for (y, target) in data.chunks_exact_mut(row_length).enumerate() {
        for (t, v) in target.iter_mut().zip(row(Some(y))) {
            *t = v * middle;
        }
        for (step, weight) in (1..).zip(sides) {
            let (above, below) = (row(y.checked_sub(step)), row(y.checked_add(step)));
            for ((t, a), b) in target.iter_mut().zip(above).zip(below) {
                *t += (a + b) * weight;
            }
        }
        if CLIP {
            for t in target {
                *t = clip(*t);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_definition() {
        let (height, width) = (9, 13);
        let data = (0..height * width * CHANNELS)
            .map(|i| ((i * 31) % 101) as f32 / 100.0)
            .collect();
        let image = Image::new(height, width, data).unwrap();
        for (kernel_size, sigma) in [(0, 1.0), (3, 0.1), (4, 0.8), (7, 2.0), (41, 3.0)] {
            let kernel = gaussian_kernel(kernel_size, sigma).unwrap();
            let radius = kernel.len() / 2;
            let mut blurred = image.clone();
            gaussian_blur(&mut blurred, &GaussianBlurValues { kernel_size, sigma }).unwrap();
            for y in 0..height {
                for x in 0..width {
                    let mut sum = 0.0;
                    for (j, wy) in kernel.iter().enumerate() {
                        for (i, wx) in kernel.iter().enumerate() {
                            let position = |p: usize, k: usize| (p + k).checked_sub(radius);
                            let pixel = position(y, j)
                                .zip(position(x, i))
                                .and_then(|(y, x)| image.pixel(y, x));
                            sum += f64::from(wy * wx) * f64::from(pixel.unwrap_or_default()[1]);
                        }
                    }
                    let got = f64::from(blurred.pixel(y, x).unwrap()[1]);
                    assert!(
                        (got - sum).abs() < 1e-6,
                        "{kernel_size} {sigma} {y} {x}: {got} {sum}"
                    );
                }
            }
        }
    }

    #[test]
    fn kernels_are_odd_and_sum_to_one() {
        assert_eq!(gaussian_kernel(22, 1.0).unwrap().len(), 23);
        assert_eq!(gaussian_kernel(9, 1.0).unwrap().len(), 9);
        let sum: f32 = gaussian_kernel(22, 1.7).unwrap().iter().sum();
        assert!((sum - 1.0).abs() < 1e-6);
        assert!(gaussian_kernel(3, 0.0).is_err());
        assert!(
            GaussianBlur {
                sigma: (2.0, 1.0),
                ..Default::default()
            }
            .validate()
            .is_err()
        );
        assert!(
            GaussianBlur {
                height_divisor: 0,
                ..Default::default()
            }
            .validate()
            .is_err()
        );
    }
}
