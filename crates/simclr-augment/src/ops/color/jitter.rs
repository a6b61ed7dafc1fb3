//! Colour operations: brightness, contrast, saturation, hue, greyscale, and the
//! colour jitter made of them.

use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::image::sealed::Sample;
use crate::ops::pixel::{BLOCK, PixelOp, Planes, Sums};
use crate::ops::resize::{Resizer, Scratch};
use crate::simd::{Kernel, Level, vectorized};
use crate::{CHANNELS, Error, Image, Result};

/// One operation on every pixel, without a clip.
fn apply_one(image: &mut Image, op: PixelOp) {
    let (pixels, _) = image.data_mut().as_chunks_mut::<CHANNELS>();
    vectorized(OneOp { pixels, op });
}

/// The mean of each channel over the whole image.
pub fn channel_means(image: &Image) -> [f32; CHANNELS] {
    let (pixels, _) = image.data().as_chunks::<CHANNELS>();
    vectorized(ChannelSums { pixels }).means(pixels.len())
}

/// `x * factor`: SimCLRv2's brightness. Not clipped.
pub fn scale_brightness(image: &mut Image, factor: f32) {
    apply_one(image, PixelOp::Scale(factor));
}

/// `x + delta`: SimCLRv1's brightness (`tf.image.adjust_brightness`). Not clipped.
pub fn offset_brightness(image: &mut Image, delta: f32) {
    apply_one(image, PixelOp::Offset(delta));
}

/// `(x - mean) * factor + mean` with the mean of each channel over the whole image
/// (`tf.image.adjust_contrast`). Not clipped.
pub fn adjust_contrast(image: &mut Image, factor: f32) {
    let means = channel_means(image);
    apply_one(image, PixelOp::Contrast { factor, means });
}

/// Multiplies the saturation of HSV, limiting it to 1
/// (`tf.image.adjust_saturation`). Not clipped.
pub fn adjust_saturation(image: &mut Image, factor: f32) {
    apply_one(image, PixelOp::Saturation(factor));
}

/// Adds `delta` turns to the hue of HSV (`tf.image.adjust_hue`). Not clipped.
pub fn adjust_hue(image: &mut Image, delta: f32) {
    apply_one(image, PixelOp::Hue(delta));
}

/// The luma 0.2989 r + 0.587 g + 0.114 b in all three channels
/// (`tf.image.rgb_to_grayscale`, tiled).
pub fn grayscale(image: &mut Image) {
    apply_one(image, PixelOp::Grayscale);
}

/// Limits every value to [0, 1].
pub fn clip(image: &mut Image) {
    apply_one(image, PixelOp::Clip);
}

struct OneOp<'a> {
    pixels: &'a mut [[f32; CHANNELS]],
    op: PixelOp,
}

impl Kernel for OneOp<'_> {
    type Output = ();

    #[inline(always)]
    fn call<L: Level>(self, _: L) {
        let mut planes = Planes::new();
        for block in self.pixels.chunks_mut(BLOCK) {
            planes.load(block);
            planes.apply::<false>(self.op);
            planes.store(block);
        }
    }
}

struct ChannelSums<'a> {
    pixels: &'a [[f32; CHANNELS]],
}

impl Kernel for ChannelSums<'_> {
    type Output = Sums;

    #[inline(always)]
    fn call<L: Level>(self, _: L) -> Self::Output {
        let mut planes = Planes::new();
        let mut sums = Sums::new();
        for block in self.pixels.chunks(BLOCK) {
            planes.load(block);
            planes.add_sums(&mut sums);
        }
        sums
    }
}

/// All stages on pixels that are there already.
pub(crate) struct AllStages<'a> {
    pub(crate) pixels: &'a mut [[f32; CHANNELS]],
    pub(crate) stages: ColorStages,
}

impl Kernel for AllStages<'_> {
    type Output = ();

    #[inline(always)]
    fn call<L: Level>(self, _: L) {
        let mut planes = Planes::new();
        let mut sums = Sums::new();
        for block in self.pixels.chunks_mut(BLOCK) {
            planes.load(block);
            self.stages.block(0, block, &mut planes, &mut sums);
        }
        let row = self.pixels.len();
        self.stages.rest(self.pixels, row, sums, &mut planes);
    }
}

/// What brightness jitter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrightnessModel {
    /// SimCLRv2: multiplies by a factor from [max(1 - d, 0), 1 + d).
    #[default]
    Multiply,
    /// SimCLRv1: adds a value from [-d, d).
    Add,
}

/// One of the four parts of the colour jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JitterStep {
    /// Brightness, by [`BrightnessModel`].
    Brightness,
    /// Contrast.
    Contrast,
    /// Saturation.
    Saturation,
    /// Hue.
    Hue,
}

impl JitterStep {
    /// The order of `color_jitter_nonrand`, and the numbering that the original
    /// shuffles.
    pub const FIXED_ORDER: [Self; 4] = [
        Self::Brightness,
        Self::Contrast,
        Self::Saturation,
        Self::Hue,
    ];
}

/// How strongly colours are jittered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColorJitter {
    /// Probability that there is any jitter. Default: 0.8.
    pub probability: f64,
    /// The original's `color_jitter_strength` s: brightness, contrast and
    /// saturation vary by 0.8 s, hue by 0.2 s turns. At most 1.25, where contrast
    /// and saturation reach 0. Default: 1.
    pub strength: f64,
    /// What brightness means. Default: [`BrightnessModel::Multiply`].
    pub brightness: BrightnessModel,
    /// Whether the four steps come in random order (the original's
    /// `color_jitter_rand`) or in the fixed one. Default: true.
    pub random_order: bool,
}

impl Default for ColorJitter {
    fn default() -> Self {
        Self {
            probability: 0.8,
            strength: 1.0,
            brightness: BrightnessModel::Multiply,
            random_order: true,
        }
    }
}

/// A colour jitter with every number decided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ColorJitterValues {
    /// The steps in the order in which they are applied.
    pub order: [JitterStep; 4],
    /// What `brightness` means.
    pub brightness_model: BrightnessModel,
    /// Factor or, for [`BrightnessModel::Add`], what is added.
    pub brightness: f32,
    /// Factor of the distance to the mean.
    pub contrast: f32,
    /// Factor of the saturation.
    pub saturation: f32,
    /// What is added to the hue, in turns.
    pub hue: f32,
}

impl ColorJitter {
    /// Checks the ranges.
    ///
    /// # Errors
    /// If the probability is outside [0, 1] or the strength outside [0, 1.25].
    pub fn validate(&self) -> Result<()> {
        const OP: &str = "colour jitter";
        check_probability(OP, self.probability)?;
        if !(0.0..=1.25).contains(&self.strength) {
            return Err(Error::parameter(
                OP,
                "strength",
                "within [0, 1.25]",
                self.strength,
            ));
        }
        Ok(())
    }

    /// Decides whether to jitter, and how.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn sample(&self, rng: &mut impl Rng) -> Result<Option<ColorJitterValues>> {
        self.validate()?;
        let happens = happens(self.probability, rng);
        let values = self.values(rng);
        Ok(happens.then_some(values))
    }

    fn values(&self, rng: &mut impl Rng) -> ColorJitterValues {
        let mut order = JitterStep::FIXED_ORDER;
        if self.random_order {
            order.shuffle(rng);
        }
        let spread = 0.8 * self.strength;
        let low = (1.0 - spread).max(0.0);
        let brightness = match self.brightness {
            BrightnessModel::Multiply => uniform(low, 1.0 + spread, rng),
            BrightnessModel::Add => uniform(-spread, spread, rng),
        };
        ColorJitterValues {
            order,
            brightness_model: self.brightness,
            brightness,
            contrast: uniform(low, 1.0 + spread, rng),
            saturation: uniform(low, 1.0 + spread, rng),
            hue: uniform(-0.2 * self.strength, 0.2 * self.strength, rng),
        }
    }
}

/// `low + u (high - low)` with u uniform in [0, 1), in `f32` as the original.
pub(crate) fn uniform(low: f64, high: f64, rng: &mut impl Rng) -> f32 {
    let (low, high) = (low as f32, high as f32);
    low + rng.random::<f32>() * (high - low)
}

/// Whether something of this probability happens.
pub(crate) fn happens(probability: f64, rng: &mut impl Rng) -> bool {
    rng.random::<f32>() < probability as f32
}

pub(crate) fn check_probability(op: &'static str, probability: f64) -> Result<()> {
    if (0.0..=1.0).contains(&probability) {
        return Ok(());
    }
    Err(Error::parameter(
        op,
        "probability",
        "within [0, 1]",
        probability,
    ))
}

impl ColorJitterValues {
    /// The operations on pixels, cut where a contrast step needs the means of what
    /// came before it.
    pub(crate) fn stages(&self) -> Vec<Vec<PixelOp>> {
        self.order
            .split(|step| *step == JitterStep::Contrast)
            .map(|steps| {
                steps
                    .iter()
                    .filter_map(|step| self.pixel_op(*step))
                    .collect()
            })
            .collect()
    }

    /// The step as an operation on pixels; contrast needs the means and is none.
    fn pixel_op(&self, step: JitterStep) -> Option<PixelOp> {
        match (step, self.brightness_model) {
            (JitterStep::Brightness, BrightnessModel::Multiply) => {
                Some(PixelOp::Scale(self.brightness))
            }
            (JitterStep::Brightness, BrightnessModel::Add) => {
                Some(PixelOp::Offset(self.brightness))
            }
            (JitterStep::Saturation, _) => Some(PixelOp::Saturation(self.saturation)),
            (JitterStep::Hue, _) => Some(PixelOp::Hue(self.hue)),
            (JitterStep::Contrast, _) => None,
        }
    }
}

/// The original's colour jitter with everything decided: the four steps in the
/// given order, values clipped to [0, 1] after each.
pub fn color_jitter(image: &mut Image, values: &ColorJitterValues) {
    let (pixels, _) = image.data_mut().as_chunks_mut::<CHANNELS>();
    let stages = ColorStages::new(Some(values), false);
    vectorized(AllStages { pixels, stages });
}

/// All colour operations of a view, arranged for as few passes as possible: one
/// up to the first contrast, which is the first thing that has to see the whole
/// image, and one from each contrast to the next. Values are clipped after every
/// operation, and the last values always.
pub(crate) struct ColorStages {
    stages: Vec<Vec<PixelOp>>,
    contrast: f32,
}

impl ColorStages {
    pub(crate) fn new(jitter: Option<&ColorJitterValues>, grayscale: bool) -> Self {
        let mut stages = jitter.map_or_else(Vec::new, ColorJitterValues::stages);
        if stages.is_empty() {
            stages.push(Vec::new());
        }
        let only_one = stages.len() == 1;
        if let Some(last) = stages.last_mut() {
            if grayscale {
                last.push(PixelOp::Grayscale);
            } else if only_one && last.is_empty() {
                last.push(PixelOp::Clip);
            }
        }
        Self {
            stages,
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
        for index in 1..self.stages.len() {
            let contrast = PixelOp::Contrast {
                factor: self.contrast,
                means: sums.means(pixels.len()),
            };
            sums = Sums::new();
            for row in pixels.chunks_mut(row) {
                for block in row.chunks_mut(BLOCK) {
                    planes.unpark(block);
                    planes.apply::<true>(contrast);
                    self.block(index, block, planes, &mut sums);
                }
            }
        }
    }

    /// One stage on the block that `planes` holds; the results go to `block`, as
    /// planes if another stage follows.
    #[inline(always)]
    fn block(
        &self,
        index: usize,
        block: &mut [[f32; CHANNELS]],
        planes: &mut Planes,
        sums: &mut Sums,
    ) {
        for &op in &self.stages[index] {
            planes.apply::<true>(op);
        }
        if index + 1 < self.stages.len() {
            planes.add_sums(sums);
            planes.park(block);
        } else {
            planes.store(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    /// HSV by the textbook, with a hue in turns.
    fn to_hsv([r, g, b]: [f64; 3]) -> [f64; 3] {
        let value = r.max(g).max(b);
        let chroma = value - r.min(g).min(b);
        let hue = if chroma == 0.0 {
            0.0
        } else if value == r {
            (g - b) / chroma
        } else if value == g {
            (b - r) / chroma + 2.0
        } else {
            (r - g) / chroma + 4.0
        };
        let saturation = if value > 0.0 { chroma / value } else { 0.0 };
        [(hue / 6.0).rem_euclid(1.0), saturation, value]
    }

    fn to_rgb([hue, saturation, value]: [f64; 3]) -> [f64; 3] {
        [5.0, 3.0, 1.0].map(|n: f64| {
            let k = (n + hue * 6.0).rem_euclid(6.0);
            value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
        })
    }

    fn pixel(color: [f32; 3]) -> Image {
        Image::filled(1, 1, color).unwrap()
    }

    fn assert_close(image: &Image, expected: [f64; 3]) {
        for (a, b) in image.data().iter().zip(expected) {
            assert!(
                (f64::from(*a) - b).abs() < 2e-6,
                "{:?} {expected:?}",
                image.data()
            );
        }
    }

    proptest! {
        #[test]
        fn hue_and_saturation_are_those_of_the_textbook(
            color in prop::array::uniform3(0.0f32..=1.0),
            delta in -1.0f32..1.0,
            factor in 0.0f32..3.0,
        ) {
            let hsv = to_hsv(color.map(f64::from));
            let mut image = pixel(color);
            adjust_hue(&mut image, delta);
            assert_close(&image, to_rgb([hsv[0] + f64::from(delta), hsv[1], hsv[2]]));
            let mut image = pixel(color);
            adjust_saturation(&mut image, factor);
            assert_close(&image, to_rgb([hsv[0], (hsv[1] * f64::from(factor)).min(1.0), hsv[2]]));
        }

        #[test]
        fn jitter_stays_in_range(
            colors in prop::collection::vec(prop::array::uniform3(-0.2f32..1.2), 1..600),
            seed in 0u64..1000,
        ) {
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let jitter = ColorJitter { probability: 1.0, ..ColorJitter::default() };
            let values = jitter.sample(&mut rng).unwrap().unwrap();
            let mut image = Image::new(1, colors.len(), colors.concat()).unwrap();
            color_jitter(&mut image, &values);
            prop_assert!(image.data().iter().all(|v| (0.0..=1.0).contains(v)));
        }
    }

    #[test]
    fn the_jitter_is_its_steps_with_clips_between() {
        let data = (0..700 * 3).map(|i| (i % 97) as f32 / 80.0 - 0.1).collect();
        let image = Image::new(7, 100, data).unwrap();
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        for model in [BrightnessModel::Multiply, BrightnessModel::Add] {
            let jitter = ColorJitter {
                brightness: model,
                probability: 1.0,
                ..Default::default()
            };
            let values = jitter.sample(&mut rng).unwrap().unwrap();
            let mut expected = image.clone();
            for step in values.order {
                match (step, model) {
                    (JitterStep::Brightness, BrightnessModel::Multiply) => {
                        scale_brightness(&mut expected, values.brightness);
                    }
                    (JitterStep::Brightness, BrightnessModel::Add) => {
                        offset_brightness(&mut expected, values.brightness);
                    }
                    (JitterStep::Contrast, _) => adjust_contrast(&mut expected, values.contrast),
                    (JitterStep::Saturation, _) => {
                        adjust_saturation(&mut expected, values.saturation)
                    }
                    (JitterStep::Hue, _) => adjust_hue(&mut expected, values.hue),
                }
                clip(&mut expected);
            }
            let mut jittered = image.clone();
            color_jitter(&mut jittered, &values);
            assert_eq!(jittered, expected);
        }
    }

    #[test]
    fn draws_stay_in_their_ranges() {
        let jitter = ColorJitter {
            strength: 0.5,
            ..Default::default()
        };
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let draws: Vec<_> = (0..5000)
            .map(|_| jitter.sample(&mut rng).unwrap())
            .collect();
        let happened: Vec<_> = draws.iter().flatten().collect();
        assert!((happened.len() as f64 / 5000.0 - 0.8).abs() < 0.02);
        for values in happened {
            for factor in [values.brightness, values.contrast, values.saturation] {
                assert!((0.6..=1.4).contains(&factor));
            }
            assert!((-0.1..=0.1).contains(&values.hue));
        }
        assert!(
            ColorJitter {
                strength: 1.3,
                ..jitter
            }
            .validate()
            .is_err()
        );
        assert!(
            ColorJitter {
                probability: -0.1,
                ..jitter
            }
            .sample(&mut rng)
            .is_err()
        );
    }
}
