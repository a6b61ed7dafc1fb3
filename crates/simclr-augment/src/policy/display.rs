//! Policies in words.

use std::fmt;

use super::{Crop, Policy};
use crate::ops::color::jitter::BrightnessModel;
use crate::ops::rotate::Rotation;
use crate::ops::taps::Resampling;

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (height, width) = self.size;
        write!(f, "views of {height} x {width}: ")?;
        if let Some((height, width)) = self.squash {
            write!(f, "squash to {height} x {width}, ")?;
        }
        let resampling = match self.resampling {
            Resampling::Bicubic => "bicubic",
            Resampling::BicubicLegacy => "legacy bicubic",
            Resampling::Bilinear => "bilinear",
        };
        match self.crop {
            Crop::Whole => write!(f, "whole image ({resampling})")?,
            Crop::Random(crop) => {
                let ((smallest, largest), (low, high)) = (crop.area, crop.aspect);
                write!(f, "random crop (area {smallest}..{largest}, ")?;
                write!(f, "aspect {low:.3}..{high:.3}, {resampling})")?;
            }
            Crop::Center { proportion } => {
                write!(f, "centre crop ({} %, {resampling})", proportion * 100.0)?;
            }
        }
        for (name, probability) in [
            ("left-right flip", self.flip_left_right),
            ("up-down flip", self.flip_up_down),
        ] {
            if probability > 0.0 {
                write!(f, ", {name} (p {probability})")?;
            }
        }
        match self.rotation {
            Rotation::None => {}
            Rotation::QuarterTurns => f.write_str(", quarter turns")?,
            Rotation::Within { degrees, .. } => write!(f, ", rotation within {degrees} degrees")?,
        }
        if let Some(jitter) = self.color_jitter {
            let (probability, strength) = (jitter.probability, jitter.strength);
            let brightness = match jitter.brightness {
                BrightnessModel::Multiply => "multiplied",
                BrightnessModel::Add => "added",
            };
            write!(f, ", colour jitter (p {probability}, strength {strength}, ")?;
            write!(f, "brightness {brightness})")?;
        }
        if self.grayscale > 0.0 {
            write!(f, ", greyscale (p {})", self.grayscale)?;
        }
        if let Some(blur) = self.blur {
            let (probability, (low, high)) = (blur.probability, blur.sigma);
            write!(f, ", blur (p {probability}, sigma {low}..{high})")?;
        }
        Ok(())
    }
}
