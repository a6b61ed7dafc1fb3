use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::draw::{happens, uniform};
use crate::error::{Result, check, check_probability, check_range};
use crate::image::{CHANNELS, Image, MAX_VIEW_PIXELS};
use crate::ops::color::planes::clip;
use crate::setters::setters;
use crate::simd::{AlignedBuffer, CACHE_LINE, Kernel, Level, vectorized_short};

/// Whether and how much a view is blurred.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
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

/// The parameters of one blur, drawn or given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GaussianBlurParams {
    /// Taps of the kernel; an even number gets one more.
    pub kernel_size: usize,
    /// Standard deviation in pixels.
    pub sigma: f32,
}

impl GaussianBlur {
    setters! {
        with_probability(probability: f64);
        with_sigma(sigma: (f64, f64));
        with_height_divisor(height_divisor: usize);
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// If the probability is outside [0, 1], the range of sigma is empty, not
    /// positive or not finite, or the divisor is 0.
    pub fn validate(&self) -> Result<()> {
        check_probability("blur.probability", self.probability)?;
        let positive = "a range of positive numbers";
        check_range("blur.sigma", self.sigma, f64::MAX, positive)?;
        let divisor = self.height_divisor;
        check(divisor > 0, "blur.height_divisor", "at least 1", divisor)
    }

    /// Draws whether to blur an image of `height` rows, and how much.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn sample(&self, height: usize, rng: &mut impl Rng) -> Result<Option<GaussianBlurParams>> {
        self.validate()?;
        let happens = happens(self.probability, rng);
        let params = GaussianBlurParams {
            kernel_size: height / self.height_divisor,
            sigma: uniform(self.sigma.0, self.sigma.1, rng),
        };
        Ok(happens.then_some(params))
    }
}

/// The blur's weights: `exp(-x^2 / (2 sigma^2))` for x in -r..=r, r = kernel_size / 2,
/// divided by their sum.
///
/// # Errors
/// If `sigma` is not positive and finite, or its square is not; for more taps than
/// [`MAX_VIEW_PIXELS`](crate::MAX_VIEW_PIXELS).
pub fn gaussian_kernel(kernel_size: usize, sigma: f32) -> Result<Vec<f32>> {
    let expected = "at most 67108864";
    check(
        kernel_size <= MAX_VIEW_PIXELS,
        "blur.kernel_size",
        expected,
        kernel_size,
    )?;
    let divisor = 2.0 * sigma * sigma;
    let is_valid = sigma > 0.0 && divisor > 0.0 && divisor.is_finite();
    check(
        is_valid,
        "sigma",
        "positive and finite, and its square too",
        sigma,
    )?;
    let radius = (kernel_size / 2) as i64;
    // Not the platform's `exp`, whose last bits differ from one platform to another.
    let weight = |x: i64| libm::expf(-((x * x) as f32) / divisor);
    let weights: Vec<f32> = (-radius..=radius).map(weight).collect();
    let sum: f32 = weights.iter().sum();
    Ok(weights.iter().map(|weight| weight / sum).collect())
}

/// Weights below this cannot change a value of [0, 1] by more than a fraction of
/// its last bit, so their taps are left out.
const NEGLIGIBLE: f32 = 1e-9;

/// Blurs with [`gaussian_kernel`], along rows and then along columns. Outside the
/// image there are zeros, so borders get darker, as in the original.
///
/// # Errors
/// If `sigma` is not positive and finite.
pub fn gaussian_blur(image: &mut Image, params: &GaussianBlurParams) -> Result<()> {
    let kernel = gaussian_kernel(params.kernel_size, params.sigma)?;
    let row_length = image.width() * CHANNELS;
    blur_in_place::<false>(image.data_mut(), row_length, &kernel);
    Ok(())
}

/// [`gaussian_blur`] of rows of `row_length` values, clipped to [0, 1] if `CLIP`.
pub(crate) fn blur_in_place<const CLIP: bool>(data: &mut [f32], row_length: usize, kernel: &[f32]) {
    // Half the symmetric kernel, from the middle outwards.
    let half = &kernel[kernel.len() / 2..];
    let length = half
        .iter()
        .take_while(|&&weight| weight > NEGLIGIBLE)
        .count();
    let Some((&middle, sides)) = half[..length].split_first() else {
        return;
    };
    vectorized_short(Blur::<CLIP> {
        data,
        row_length,
        middle,
        sides,
    });
}

struct Blur<'a, const CLIP: bool> {
    data: &'a mut [f32],
    row_length: usize,
    middle: f32,
    /// The weights beside the middle, from the inside outwards.
    sides: &'a [f32],
}

impl<const CLIP: bool> Kernel for Blur<'_, CLIP> {
    type Output = ();

    #[inline(always)]
    fn call<L: Level>(self, _: L) {
        // Rows blurred along themselves, as many as an output row needs.
        let reach = self.sides.len();
        let length = self.row_length;
        let stride = length.next_multiple_of(CACHE_LINE);
        let mut ring = AlignedBuffer::zeros((2 * reach + 1) * stride);
        let ring = ring.get_mut();
        let place = |y: usize| (y % (2 * reach + 1)) * stride;
        let zeros = AlignedBuffer::zeros(length);
        let zeros = &zeros.get()[..length];
        let margin = reach * CHANNELS;
        let mut padded = vec![0.0; length + 2 * margin];
        let height = self.data.len() / length;
        for next in 0..height + reach {
            if next < height {
                let row = &self.data[next * length..][..length];
                padded[margin..margin + length].copy_from_slice(row);
                let offset = |step: isize| {
                    &padded[margin.wrapping_add_signed(step * CHANNELS as isize)..][..length]
                };
                let target = &mut ring[place(next)..][..length];
                weigh::<false>(self.middle, self.sides, offset, target);
            }
            if let Some(y) = next.checked_sub(reach) {
                let row = |step: isize| match y.checked_add_signed(step) {
                    Some(y) if y < height => &ring[place(y)..][..length],
                    _ => zeros,
                };
                let target = &mut self.data[y * length..][..length];
                weigh::<CLIP>(self.middle, self.sides, row, target);
            }
        }
    }
}

/// Values that are summed in registers at a time.
const LANES: usize = 32;

/// `target = middle * row(0) + sum over k of sides[k - 1] * (row(-k) + row(k))`.
#[inline(always)]
fn weigh<'r, const CLIP: bool>(
    middle: f32,
    sides: &[f32],
    row: impl Fn(isize) -> &'r [f32],
    target: &mut [f32],
) {
    let (chunks, rest) = target.as_chunks_mut::<LANES>();
    let finish = |sum: f32| if CLIP { clip(sum) } else { sum };
    let whole = chunks.len() * LANES;
    for (index, chunk) in chunks.iter_mut().enumerate() {
        let part = |step: isize| &row(step)[index * LANES..][..LANES];
        let mut sums = [0.0; LANES];
        for (sum, value) in sums.iter_mut().zip(part(0)) {
            *sum = value * middle;
        }
        for (step, weight) in (1..).zip(sides) {
            let (before, after) = (part(-step), part(step));
            for lane in 0..LANES {
                sums[lane] += (before[lane] + after[lane]) * weight;
            }
        }
        // `array::map` would not be inlined here, and not be compiled for the level.
        for (target, sum) in chunk.iter_mut().zip(sums) {
            *target = finish(sum);
        }
    }
    for (index, target) in (whole..).zip(rest) {
        let mut sum = row(0)[index] * middle;
        for (step, weight) in (1..).zip(sides) {
            sum += (row(-step)[index] + row(step)[index]) * weight;
        }
        *target = finish(sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_definition() {
        let (height, width) = (9, 13);
        let image = Image::from_fn(height, width, |i| ((i * 31) % 101) as f32 / 100.0);
        for (kernel_size, sigma) in [(0, 1.0), (3, 0.1), (4, 0.8), (7, 2.0), (41, 3.0)] {
            let kernel = gaussian_kernel(kernel_size, sigma).unwrap();
            let radius = kernel.len() / 2;
            let mut blurred = image.clone();
            gaussian_blur(&mut blurred, &GaussianBlurParams { kernel_size, sigma }).unwrap();
            for y in 0..height {
                for x in 0..width {
                    let mut sum = 0.0;
                    for (j, wy) in kernel.iter().enumerate() {
                        for (i, wx) in kernel.iter().enumerate() {
                            let position = |p: usize, k: usize| (p + k).checked_sub(radius);
                            let place = position(y, j).zip(position(x, i));
                            let pixel = place.and_then(|(y, x)| image.pixel(y, x));
                            sum += f64::from(wy * wx) * f64::from(pixel.unwrap_or_default()[1]);
                        }
                    }
                    let got = f64::from(blurred.pixel(y, x).unwrap()[1]);
                    let place = format_args!("{kernel_size} {sigma} {y} {x}");
                    assert!((got - sum).abs() < 1e-6, "{place}: {got} {sum}");
                }
            }
        }
    }

    /// With the `exp` of glibc, the third tap has another last bit.
    #[test]
    fn taps_have_the_recorded_bits() {
        let kernel = gaussian_kernel(7, 1.1).unwrap();
        let bits = [0, 1, 2, 3].map(|k| kernel[k].to_bits());
        assert_eq!(bits, [1007700336, 1032740987, 1047915292, 1052368912]);
    }

    #[test]
    fn kernels_are_odd_and_sum_to_one() {
        assert_eq!(gaussian_kernel(22, 1.0).unwrap().len(), 23);
        assert_eq!(gaussian_kernel(9, 1.0).unwrap().len(), 9);
        let sum: f32 = gaussian_kernel(22, 1.7).unwrap().iter().sum();
        assert!((sum - 1.0).abs() < 1e-6);
        assert!(gaussian_kernel(3, 0.0).is_err());
        let blur = GaussianBlur::default();
        assert!(blur.with_sigma((2.0, 1.0)).validate().is_err());
        assert!(blur.with_height_divisor(0).validate().is_err());
    }
}
