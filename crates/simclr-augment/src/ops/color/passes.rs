//! The colour operations of a view, one after the other in few passes.

use super::jitter::ColorJitterParams;
use super::planes::{BLOCK, PixelOp, Planes, Sums};
use crate::image::{CHANNELS, Image};
use crate::ops::resizer::{Resizer, Scratch};
use crate::sample::Sample;
use crate::simd::{Kernel, Level, vectorized};

/// The original's colour jitter with everything decided: the four steps in the
/// given order, values clipped to [0, 1] after each.
pub fn color_jitter(image: &mut Image, params: &ColorJitterParams) {
    let pixels = image.pixels_mut();
    let passes = ColorPasses::new(Some(params), false);
    vectorized(AllPasses { pixels, passes });
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
    pub(crate) fn new(jitter: Option<&ColorJitterParams>, grayscale: bool) -> Self {
        let mut passes = jitter.map_or_else(Vec::new, ColorJitterParams::passes);
        if passes.is_empty() {
            passes.push(Vec::new());
        }
        let only_one = passes.len() == 1;
        if let Some(last) = passes.last_mut() {
            if grayscale {
                last.push(PixelOp::Grayscale);
            } else if only_one && last.is_empty() {
                last.push(PixelOp::Clip);
            }
        }
        Self {
            passes,
            contrast: jitter.map_or(1.0, |values| values.contrast),
        }
    }

    /// The operations before the first contrast on row `y` of a picture while it is
    /// resized, the results going to `row`, their sums (if a contrast follows) added to
    /// `sums`.
    #[inline(always)]
    pub(crate) fn first<S: Sample>(
        &self,
        (resizer, y): (&Resizer<'_, S>, usize),
        scratch: &Scratch,
        row: &mut [[f32; CHANNELS]],
        sums: &mut Sums,
        planes: &mut Planes,
    ) {
        for (column, block) in (0..).step_by(BLOCK).zip(row.chunks_mut(BLOCK)) {
            resizer.blend(y, column, scratch, planes);
            self.block(0, block, planes, sums);
        }
    }

    /// The remaining operations on all pixels, which [`Self::first`] left in rows of
    /// `row` pixels; `sums` is the total that it gave.
    #[inline(always)]
    pub(crate) fn rest(
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

/// All passes over pixels that are there already.
pub(crate) struct AllPasses<'a> {
    pub(crate) pixels: &'a mut [[f32; CHANNELS]],
    pub(crate) passes: ColorPasses,
}

impl Kernel for AllPasses<'_> {
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
    use crate::ops::color::adjust::*;
    use crate::ops::color::jitter::{BrightnessModel, ColorJitter, JitterStep};

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
        let data = (0..700 * 3).map(|i| (i % 97) as f32 / 80.0 - 0.1).collect();
        let image = Image::new(7, 100, data).unwrap();
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        for model in [BrightnessModel::Multiply, BrightnessModel::Add] {
            let jitter = ColorJitter::default()
                .with_brightness(model)
                .with_probability(1.0);
            let params = jitter.sample(&mut rng).unwrap().unwrap();
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
}
