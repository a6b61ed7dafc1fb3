//! The colour operations of a view, one after the other in few passes.

use super::jitter::ColorJitterParams;
use super::planes::{BLOCK, PixelOp, Planes, Sums};
use crate::image::{CHANNELS, Image};
use crate::ops::resizer::Resizer;
use crate::simd::{Kernel, Level, vectorized};

/// The original's colour jitter with everything decided: the four steps in the
/// given order, values clipped to [0, 1] after each.
pub fn color_jitter(image: &mut Image, params: &ColorJitterParams) {
    recolor(image.pixels_mut(), ColorPasses::new(Some(params), false));
}

/// All colour operations of a view, arranged for as few passes as possible: one
/// up to the first contrast, which is the first thing that has to see the whole
/// image, and one from each contrast to the next. Values are clipped after every
/// operation, and the last values always.
pub(crate) struct ColorPasses {
    passes: Vec<Vec<PixelOp>>,
    contrast: f32,
}

impl ColorPasses {
    /// No operation, and no clip.
    pub(crate) fn none() -> Self {
        Self {
            passes: vec![Vec::new()],
            contrast: 1.0,
        }
    }

    pub(crate) fn new(jitter: Option<&ColorJitterParams>, grayscale: bool) -> Self {
        let mut all = jitter.map_or_else(Self::none, |jitter| Self {
            passes: jitter.passes(),
            contrast: jitter.contrast,
        });
        let only_one = all.passes.len() == 1;
        if let Some(last) = all.passes.last_mut() {
            if grayscale {
                last.push(PixelOp::Grayscale);
            } else if only_one && last.is_empty() {
                last.push(PixelOp::Clip);
            }
        }
        all
    }

    /// The operations from the first contrast on, after the pass 0 over all pixels in rows
    /// of `row`, whose sums are `sums`.
    #[inline(always)]
    fn rest(
        &self,
        pixels: &mut [[f32; CHANNELS]],
        row: usize,
        mut sums: Sums,
        planes: &mut Planes,
    ) {
        for index in 1..self.passes.len() {
            let contrast = PixelOp::Contrast {
                factor: self.contrast,
                means: sums.means(pixels.len()),
            };
            sums = Sums::new();
            for row in pixels.chunks_mut(row) {
                for block in row.chunks_mut(BLOCK) {
                    planes.load_planar(block);
                    planes.apply::<true>(contrast);
                    self.block(index, block, planes, &mut sums);
                }
            }
        }
    }

    /// One pass over the block that `planes` holds; the results go to `block`, as
    /// planes if another pass follows.
    #[inline(always)]
    fn block(
        &self,
        index: usize,
        block: &mut [[f32; CHANNELS]],
        planes: &mut Planes,
        sums: &mut Sums,
    ) {
        for &op in &self.passes[index] {
            planes.apply::<true>(op);
        }
        if index + 1 < self.passes.len() {
            planes.add_sums(sums);
            planes.store_planar(block);
        } else {
            planes.store(block);
        }
    }
}

/// Resizes row by row, each row getting its first colour operations while it is in
/// the cache, and then does what has to wait for the whole image.
pub(crate) fn resize_and_recolor(resizer: Resizer<'_>, passes: ColorPasses, output: &mut [f32]) {
    vectorized(ResizeAndRecolor {
        resizer,
        passes,
        output,
    });
}

struct ResizeAndRecolor<'a> {
    resizer: Resizer<'a>,
    passes: ColorPasses,
    output: &'a mut [f32],
}

impl Kernel for ResizeAndRecolor<'_> {
    type Output = ();

    #[inline(always)]
    fn call<L: Level>(self, level: L) {
        let mut scratch = self.resizer.scratch();
        let mut planes = Planes::new();
        let mut sums = Sums::new();
        let width = self.resizer.width();
        let (pixels, _) = self.output.as_chunks_mut::<CHANNELS>();
        for (y, row) in pixels.chunks_exact_mut(width).enumerate() {
            self.resizer.prepare(level, y, &mut scratch);
            for (column, block) in (0..).step_by(BLOCK).zip(row.chunks_mut(BLOCK)) {
                self.resizer.blend(y, column, &scratch, &mut planes);
                self.passes.block(0, block, &mut planes, &mut sums);
            }
        }
        self.passes.rest(pixels, width, sums, &mut planes);
    }
}

/// All passes over pixels that are there already.
pub(crate) fn recolor(pixels: &mut [[f32; CHANNELS]], passes: ColorPasses) {
    vectorized(Recolor { pixels, passes });
}

struct Recolor<'a> {
    pixels: &'a mut [[f32; CHANNELS]],
    passes: ColorPasses,
}

impl Kernel for Recolor<'_> {
    type Output = ();

    #[inline(always)]
    fn call<L: Level>(self, _: L) {
        let mut planes = Planes::new();
        let mut sums = Sums::new();
        for block in self.pixels.chunks_mut(BLOCK) {
            planes.load(block);
            self.passes.block(0, block, &mut planes, &mut sums);
        }
        let row = self.pixels.len();
        self.passes.rest(self.pixels, row, sums, &mut planes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;
    use crate::image::DecodedImage;
    use crate::ops::CropBox;
    use crate::ops::color::adjust::*;
    use crate::ops::color::jitter::{BrightnessModel, ColorJitter, JitterStep};
    use crate::ops::taps::Resampling;
    use crate::simd::on_every_level;

    proptest! {
        #[test]
        fn jitter_stays_in_range(
            colors in prop::collection::vec(prop::array::uniform3(-0.2f32..1.2), 1..600),
            seed in 0u64..1000,
        ) {
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let jitter = ColorJitter::default().with_probability(1.0);
            let params = jitter.sample(&mut rng).unwrap().unwrap();
            let mut image = Image::new(1, colors.len(), colors.concat()).unwrap();
            color_jitter(&mut image, &params);
            prop_assert!(image.data().iter().all(|v| (0.0..=1.0).contains(v)));
        }
    }

    #[test]
    fn the_jitter_is_its_steps_with_clips_between() {
        let image = Image::from_fn(7, 100, |i| (i % 97) as f32 / 80.0 - 0.1);
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        for model in [BrightnessModel::Multiply, BrightnessModel::Add] {
            let jitter = ColorJitter::default().with_brightness(model);
            let params = jitter
                .with_probability(1.0)
                .sample(&mut rng)
                .unwrap()
                .unwrap();
            let mut expected = image.clone();
            for step in params.order {
                match (step, model) {
                    (JitterStep::Brightness, BrightnessModel::Multiply) => {
                        scale_brightness(&mut expected, params.brightness);
                    }
                    (JitterStep::Brightness, BrightnessModel::Add) => {
                        offset_brightness(&mut expected, params.brightness);
                    }
                    (JitterStep::Contrast, _) => adjust_contrast(&mut expected, params.contrast),
                    (JitterStep::Saturation, _) => {
                        adjust_saturation(&mut expected, params.saturation)
                    }
                    (JitterStep::Hue, _) => adjust_hue(&mut expected, params.hue),
                }
                clip(&mut expected);
            }
            let mut jittered = image.clone();
            color_jitter(&mut jittered, &params);
            assert_eq!(jittered, expected);
        }
    }

    /// Enlarged, shrunk a little, shrunk to less than a quarter, wider than a block.
    #[test]
    fn every_level_gives_the_same_bits() {
        let (height, width) = (61, 1300);
        let value = |i: usize| (i.wrapping_mul(2_654_435_761) >> 9) as u8;
        let decoded = DecodedImage::from_fn(height, width, value);
        for box_width in [3, 150, 400, 1300] {
            for resampling in [Resampling::Bicubic, Resampling::Bilinear] {
                let crop_box = CropBox {
                    y: 2,
                    x: 0,
                    height: 50,
                    width: box_width,
                };
                let size = (33, 299);
                let outputs = on_every_level(|| {
                    let mut resizer =
                        Resizer::new((&decoded).into(), crop_box, size, resampling).unwrap();
                    resizer.flip_left_right();
                    ToVec(resizer)
                });
                for output in &outputs {
                    assert!(*output == outputs[0], "{box_width} {resampling:?}");
                }
            }
        }
    }

    struct ToVec<'a>(Resizer<'a>);

    impl Kernel for ToVec<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn call<L: Level>(self, level: L) -> Vec<f32> {
            let mut output = vec![0.0; 33 * 299 * CHANNELS];
            let resize = ResizeAndRecolor {
                resizer: self.0,
                passes: ColorPasses::none(),
                output: &mut output,
            };
            resize.call(level);
            output
        }
    }
}
