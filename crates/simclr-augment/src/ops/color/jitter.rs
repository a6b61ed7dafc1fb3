use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::planes::PixelOp;
use crate::draw::{happens, uniform};
use crate::error::{Result, check, check_probability};
use crate::setters::setters;

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
#[non_exhaustive]
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

/// The parameters of one colour jitter, drawn or given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ColorJitterParams {
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
    setters! {
        with_probability(probability: f64);
        with_strength(strength: f64);
        with_brightness(brightness: BrightnessModel);
        with_random_order(random_order: bool);
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// If the probability is outside [0, 1] or the strength outside [0, 1.25].
    pub fn validate(&self) -> Result<()> {
        check_probability("color_jitter.probability", self.probability)?;
        let is_valid = (0.0..=1.25).contains(&self.strength);
        let name = "color_jitter.strength";
        check(is_valid, name, "within [0, 1.25]", self.strength)
    }

    /// Draws whether to jitter, and how.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn sample(&self, rng: &mut impl Rng) -> Result<Option<ColorJitterParams>> {
        self.validate()?;
        let happens = happens(self.probability, rng);
        let mut order = JitterStep::FIXED_ORDER;
        if self.random_order {
            order.shuffle(rng);
        }
        let spread = 0.8 * self.strength;
        let low = (1.0 - spread).max(0.0);
        let params = ColorJitterParams {
            order,
            brightness_model: self.brightness,
            brightness: match self.brightness {
                BrightnessModel::Multiply => uniform(low, 1.0 + spread, rng),
                BrightnessModel::Add => uniform(-spread, spread, rng),
            },
            contrast: uniform(low, 1.0 + spread, rng),
            saturation: uniform(low, 1.0 + spread, rng),
            hue: uniform(-0.2 * self.strength, 0.2 * self.strength, rng),
        };
        Ok(happens.then_some(params))
    }
}

impl ColorJitterParams {
    /// The operations on pixels, cut where a contrast step needs the means of what
    /// came before it.
    pub(crate) fn passes(&self) -> Vec<Vec<PixelOp>> {
        let (mut passes, mut pass) = (Vec::new(), Vec::new());
        for step in self.order {
            pass.push(match (step, self.brightness_model) {
                (JitterStep::Brightness, BrightnessModel::Multiply) => {
                    PixelOp::Scale(self.brightness)
                }
                (JitterStep::Brightness, BrightnessModel::Add) => PixelOp::Offset(self.brightness),
                (JitterStep::Saturation, _) => PixelOp::Saturation(self.saturation),
                (JitterStep::Hue, _) => PixelOp::Hue(self.hue),
                (JitterStep::Contrast, _) => {
                    passes.push(std::mem::take(&mut pass));
                    continue;
                }
            });
        }
        passes.push(pass);
        passes
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn draws_stay_in_their_ranges() {
        let jitter = ColorJitter::default().with_strength(0.5);
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let draws = (0..5000).map(|_| jitter.sample(&mut rng).unwrap());
        let happened: Vec<_> = draws.flatten().collect();
        assert!((happened.len() as f64 / 5000.0 - 0.8).abs() < 0.02);
        for values in happened {
            for factor in [values.brightness, values.contrast, values.saturation] {
                assert!((0.6..=1.4).contains(&factor));
            }
            assert!((-0.1..=0.1).contains(&values.hue));
        }
        assert!(jitter.with_strength(1.3).validate().is_err());
        assert!(jitter.with_probability(-0.1).sample(&mut rng).is_err());
    }
}
