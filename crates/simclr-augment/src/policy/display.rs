//! Policies in words.

use std::fmt;

use super::{Crop, Policy};
use crate::ops::{BrightnessModel, Resampling, Rotation};

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut steps = Vec::new();
        if let Some((height, width)) = self.squash {
            steps.push(format!("squash to {height} x {width}"));
        }
        steps.push(self.crop_in_words());
        let mut with_probability = |name: &str, probability: f64| {
            if probability > 0.0 {
                steps.push(format!("{name} (p {probability})"));
            }
        };
        with_probability("left-right flip", self.flip_left_right);
        with_probability("up-down flip", self.flip_up_down);
        match self.rotation {
            Rotation::None => {}
            Rotation::QuarterTurns => steps.push("quarter turns".into()),
            Rotation::Within { degrees, .. } => {
                steps.push(format!("rotation within {degrees} degrees"));
            }
        }
        if let Some(jitter) = self.color_jitter {
            let brightness = match jitter.brightness {
                BrightnessModel::Multiply => "multiplied",
                BrightnessModel::Add => "added",
            };
            steps.push(format!(
                "colour jitter (p {}, strength {}, brightness {brightness})",
                jitter.probability, jitter.strength
            ));
        }
        if self.grayscale > 0.0 {
            steps.push(format!("greyscale (p {})", self.grayscale));
        }
        if let Some(blur) = self.blur {
            let (low, high) = blur.sigma;
            steps.push(format!(
                "blur (p {}, sigma {low}..{high})",
                blur.probability
            ));
        }
        let (height, width) = self.size;
        write!(f, "views of {height} x {width}: {}", steps.join(", "))
    }
}

impl Policy {
    fn crop_in_words(&self) -> String {
        let resampling = match self.resampling {
            Resampling::Bicubic => "bicubic",
            Resampling::BicubicLegacy => "legacy bicubic",
            Resampling::Bilinear => "bilinear",
        };
        match self.crop {
            Crop::Whole => format!("whole image ({resampling})"),
            Crop::Random(crop) => format!(
                "random crop (area {}..{}, aspect {:.3}..{:.3}, {resampling})",
                crop.area.0, crop.area.1, crop.aspect.0, crop.aspect.1
            ),
            Crop::Center { proportion } => {
                format!("centre crop ({} %, {resampling})", proportion * 100.0)
            }
        }
    }
}
