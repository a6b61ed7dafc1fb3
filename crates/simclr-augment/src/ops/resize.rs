//! Crop and resize in one go, from `f32` or straight from decoded bytes.

use crate::image::sealed::Sample;
use crate::ops::crop::{CropBox, center_crop_box};
use crate::ops::taps::{Resampling, Taps};
use crate::simd::{Kernel, vectorized};
use crate::{CHANNELS, Image, Pixels, Result};

/// Resizes a whole image to `height` x `width`.
///
/// # Errors
/// If `height` or `width` is 0.
pub fn resize(
    source: &impl Pixels,
    height: usize,
    width: usize,
    resampling: Resampling,
) -> Result<Image> {
    let whole = CropBox::whole(source.height(), source.width());
    crop_and_resize(source, whole, height, width, resampling)
}

/// Cuts `window` out of `source` and resizes it to `height` x `width`
/// (`crop_and_resize` with the box given). The values are not clipped: bicubic
/// weights are partly negative, so the result may leave [0, 1].
///
/// # Errors
/// If the box does not lie inside the image, or `height` or `width` is 0.
pub fn crop_and_resize(
    source: &impl Pixels,
    window: CropBox,
    height: usize,
    width: usize,
    resampling: Resampling,
) -> Result<Image> {
    let mut image = Image::zeros("crop and resize", height, width)?;
    let resizer = Resizer::new(source, window, (height, width), resampling)?;
    let output = image.data_mut();
    vectorized(AllRows { resizer, output });
    Ok(image)
}

/// The original's centre crop: [`center_crop_box`], resized to `height` x `width`.
/// The values are not clipped.
///
/// # Errors
/// As [`center_crop_box`].
pub fn center_crop(
    source: &impl Pixels,
    height: usize,
    width: usize,
    proportion: f64,
    resampling: Resampling,
) -> Result<Image> {
    let image = (source.height(), source.width());
    let window = center_crop_box(image, (height, width), proportion)?;
    crop_and_resize(source, window, height, width, resampling)
}

/// A crop-and-resize that produces one output row at a time, so that whatever
/// follows finds the row in the cache.
///
/// Each output row is made of up to four source rows, weighted (a pass over
/// contiguous memory, widening bytes on the way), and then of up to four
/// neighbouring pixels each. For the second step pixels are spread to four values,
/// red, green, blue and one without meaning, so that a pixel is one short vector
/// and two neighbours are one longer vector.
pub(crate) struct Resizer<'a, S> {
    samples: &'a [S],
    /// Values per source row.
    stride: usize,
    window: CropBox,
    rows: Vec<Taps>,
    columns: Vec<Column>,
    /// Whether no column needs more than two pixels.
    narrow: bool,
}

/// A pixel with a fourth value that has no meaning.
pub(crate) type Wide = [f32; CHANNELS + 1];

/// The taps of an output column, each weight repeated for every value of a pixel.
struct Column {
    start: usize,
    weights: [Wide; Taps::COUNT],
}

/// Buffers of one row, kept between rows.
pub(crate) struct Scratch {
    /// The weighted sum of the source rows, with one value more than needed.
    blended: Vec<f32>,
    /// The same in wide pixels, with more than needed so that the last pixel too
    /// has four neighbours.
    spread: Vec<Wide>,
    /// The output row.
    output: Vec<Wide>,
}

impl<'a, S: Sample> Resizer<'a, S> {
    pub(crate) fn new<P: Pixels<Sample = S>>(
        source: &'a P,
        window: CropBox,
        (height, width): (usize, usize),
        resampling: Resampling,
    ) -> Result<Self> {
        const OP: &str = "crop and resize";
        window.check(OP, source.height(), source.width())?;
        crate::image::value_count(OP, height, width, CHANNELS)?;
        let mut rows = Taps::along(resampling, window.height, height);
        for taps in &mut rows {
            // Scaling here costs nothing per pixel.
            taps.weights = taps.weights.map(|weight| weight * S::STEP);
        }
        let columns = Taps::along(resampling, window.width, width);
        Ok(Self {
            samples: source.samples(),
            stride: source.width() * CHANNELS,
            window,
            rows,
            narrow: columns.iter().all(Taps::is_narrow),
            columns: columns
                .into_iter()
                .map(|taps| Column {
                    start: taps.start,
                    weights: taps.weights.map(|weight| [weight; CHANNELS + 1]),
                })
                .collect(),
        })
    }

    /// Mirrors the output left-right at no cost.
    pub(crate) fn flip_left_right(&mut self) {
        self.columns.reverse();
    }

    /// Mirrors the output up-down at no cost.
    pub(crate) fn flip_up_down(&mut self) {
        self.rows.reverse();
    }

    pub(crate) fn scratch(&self) -> Scratch {
        let width = self.window.width;
        Scratch {
            blended: vec![0.0; width * CHANNELS + 1],
            spread: vec![Wide::default(); width + Taps::COUNT],
            output: vec![Wide::default(); self.columns.len()],
        }
    }

    /// Output row `y`.
    #[inline(always)]
    pub(crate) fn row<'s>(&self, y: usize, scratch: &'s mut Scratch) -> &'s [Wide] {
        let Scratch {
            blended,
            spread,
            output,
        } = scratch;
        let values = self.window.width * CHANNELS;
        let taps = self.rows[y];
        let source_row = |k: usize| {
            // Taps that do not exist weigh nothing; any row does for them.
            let row = (taps.start + k).min(self.window.height - 1);
            let start = (self.window.y + row) * self.stride + self.window.x * CHANNELS;
            &self.samples[start..start + values]
        };
        let [wa, wb, wc, wd] = taps.weights;
        if taps.is_narrow() {
            let rows = [source_row(0), source_row(1)];
            blend_two_rows(rows, [wa, wb], &mut blended[..values]);
        } else {
            let rows = [source_row(0), source_row(1), source_row(2), source_row(3)];
            blend_four_rows(rows, [wa, wb, wc, wd], &mut blended[..values]);
        }
        spread_pixels(blended, &mut spread[..self.window.width]);
        if self.narrow {
            blend_two_pixels(spread, &self.columns, output);
        } else {
            blend_four_pixels(spread, &self.columns, output);
        }
        output
    }
}

/// Nothing but resizing.
pub(crate) struct AllRows<'a, S> {
    pub(crate) resizer: Resizer<'a, S>,
    pub(crate) output: &'a mut [f32],
}

impl<S: Sample> Kernel for AllRows<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let mut scratch = self.resizer.scratch();
        let (pixels, _) = self.output.as_chunks_mut::<CHANNELS>();
        let rows = pixels.chunks_exact_mut(self.resizer.columns.len());
        for (y, row) in rows.enumerate() {
            let resized = self.resizer.row(y, &mut scratch);
            for (target, &[red, green, blue, _]) in row.iter_mut().zip(resized) {
                *target = [red, green, blue];
            }
        }
    }
}

/// `output = sum of weights[k] * rows[k]`.
#[inline(always)]
fn blend_four_rows<S: Sample>(rows: [&[S]; 4], weights: [f32; 4], output: &mut [f32]) {
    let n = output.len();
    let [a, b, c, d] = rows.map(|row| &row[..n]);
    let [wa, wb, wc, wd] = weights;
    for i in 0..n {
        output[i] =
            (a[i].widen() * wa + b[i].widen() * wb) + (c[i].widen() * wc + d[i].widen() * wd);
    }
}

/// `output = sum of weights[k] * rows[k]`.
#[inline(always)]
fn blend_two_rows<S: Sample>(rows: [&[S]; 2], weights: [f32; 2], output: &mut [f32]) {
    let n = output.len();
    let [a, b] = rows.map(|row| &row[..n]);
    let [wa, wb] = weights;
    for i in 0..n {
        output[i] = a[i].widen() * wa + b[i].widen() * wb;
    }
}

/// Three values per pixel to four. Copying four at a time takes the next pixel's
/// red along, which does no harm and is one load and one store.
#[inline(always)]
fn spread_pixels(values: &[f32], pixels: &mut [Wide]) {
    for (x, pixel) in pixels.iter_mut().enumerate() {
        pixel.copy_from_slice(&values[x * CHANNELS..x * CHANNELS + CHANNELS + 1]);
    }
}

const WIDE: usize = CHANNELS + 1;

/// Every output pixel from four neighbours, two at a time.
#[inline(always)]
fn blend_four_pixels(input: &[Wide], columns: &[Column], output: &mut [Wide]) {
    for (column, target) in columns.iter().zip(output) {
        let pixels = input[column.start..column.start + 4].as_flattened();
        let weights = column.weights.as_flattened();
        let mut pairs = [0.0; 2 * WIDE];
        for (lane, pair) in pairs.iter_mut().enumerate() {
            *pair =
                pixels[lane] * weights[lane] + pixels[2 * WIDE + lane] * weights[2 * WIDE + lane];
        }
        for lane in 0..WIDE {
            target[lane] = pairs[lane] + pairs[WIDE + lane];
        }
    }
}

/// Every output pixel from two neighbours.
#[inline(always)]
fn blend_two_pixels(input: &[Wide], columns: &[Column], output: &mut [Wide]) {
    for (column, target) in columns.iter().zip(output) {
        let pixels = input[column.start..column.start + 2].as_flattened();
        let weights = column.weights.as_flattened();
        for lane in 0..WIDE {
            target[lane] =
                pixels[lane] * weights[lane] + pixels[WIDE + lane] * weights[WIDE + lane];
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::DecodedImage;

    fn noise(height: usize, width: usize) -> DecodedImage {
        let data = (0..height * width * CHANNELS)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u8)
            .collect();
        DecodedImage::new(height, width, data).unwrap()
    }

    /// The definition, one output value at a time.
    fn reference(image: &Image, window: CropBox, size: (usize, usize), r: Resampling) -> Vec<f32> {
        let rows = Taps::along(r, window.height, size.0);
        let columns = Taps::along(r, window.width, size.1);
        let mut out = Vec::new();
        for row in &rows {
            for column in &columns {
                for channel in 0..CHANNELS {
                    let mut sum = 0.0;
                    for (j, wy) in row.weights.iter().enumerate().filter(|(_, w)| **w != 0.0) {
                        for (i, wx) in column
                            .weights
                            .iter()
                            .enumerate()
                            .filter(|(_, w)| **w != 0.0)
                        {
                            let pixel = image
                                .pixel(window.y + row.start + j, window.x + column.start + i)
                                .unwrap();
                            sum += f64::from(*wy) * f64::from(*wx) * f64::from(pixel[channel]);
                        }
                    }
                    out.push(sum as f32);
                }
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
            let window = CropBox { y, x, height: 1 + part(h, height - y), width: 1 + part(w, width - x) };
            prop_assume!(window.check("", height, width).is_ok());
            let decoded = noise(height, width);
            let image = decoded.to_image();
            for resampling in [Resampling::Bicubic, Resampling::BicubicLegacy, Resampling::Bilinear] {
                let expected = reference(&image, window, size, resampling);
                let from_floats = crop_and_resize(&image, window, size.0, size.1, resampling).unwrap();
                let from_bytes = crop_and_resize(&decoded, window, size.0, size.1, resampling).unwrap();
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
        let window = CropBox {
            y: 5,
            x: 0,
            height: 5,
            width: 3,
        };
        let error = crop_and_resize(&noise(9, 7), window, 4, 4, Resampling::Bicubic).unwrap_err();
        assert_eq!(
            error.to_string(),
            "crop and resize: the box 5 x 3 at row 5, column 0 does not lie inside an image of \
             9 x 7 pixels"
        );
        assert!(resize(&noise(3, 3), 0, 4, Resampling::Bilinear).is_err());
    }
}
