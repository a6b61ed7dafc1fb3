//! Colour operations.

use serde::Deserialize as _;
use simclr_augment::Image;
use simclr_augment::ops::{self, BrightnessModel, ColorJitterValues, JitterStep};
use simclr_testkit::{GoldenCase, Tolerance};

use super::{image, suffixes, unsupported};
use crate::{CaseReport, Result};

/// One operation with several factors on several images.
pub(super) fn factors(case: &GoldenCase, report: &mut CaseReport) -> Result<()> {
    let name = case.params()["op"].as_str().unwrap_or(&case.name);
    let operation: fn(&mut Image, f32) = match name {
        "brightness" => ops::scale_brightness,
        "contrast" => ops::adjust_contrast,
        "hue" => ops::adjust_hue,
        "saturation" => ops::adjust_saturation,
        _ => return Err(unsupported(case, format!("unknown `params.op`: {name}"))),
    };
    let tolerance = Tolerance::absolute(case.bound("abs")?);
    let factors = case.values("factors")?;
    for key in suffixes(case, "in_") {
        let input = image(case, &format!("in_{key}"))?;
        let mut results = Vec::new();
        for &factor in &factors {
            let mut result = input.clone();
            operation(&mut result, factor);
            results.extend(result.into_data());
        }
        let expected = case.values(&format!("out_{key}"))?;
        report.compare(key, tolerance, &results, &expected);
    }
    Ok(())
}

pub(super) fn grayscale(case: &GoldenCase, report: &mut CaseReport) -> Result<()> {
    let tolerance = Tolerance::absolute(case.bound("abs")?);
    for key in suffixes(case, "in_") {
        let mut result = image(case, &format!("in_{key}"))?;
        ops::grayscale(&mut result);
        let expected = case.values(&format!("out_{key}"))?;
        report.compare(key, tolerance, result.data(), &expected);
    }
    Ok(())
}

/// The whole jitter with forced order and factors.
pub(super) fn jitter(case: &GoldenCase, report: &mut CaseReport) -> Result<()> {
    let tolerance = Tolerance::absolute(case.bound("abs")?);
    let entries = case.params()["cases"]
        .as_array()
        .ok_or_else(|| unsupported(case, "expected a list `params.cases`"))?;
    for entry in entries {
        let index = &entry["i"];
        let number = |key: &str| {
            entry[key]
                .as_f64()
                .map(|value| value as f32)
                .ok_or_else(|| unsupported(case, format!("expected a number `{key}` in {entry}")))
        };
        let order = <[JitterStep; 4]>::deserialize(&entry["order"])
            .map_err(|error| unsupported(case, format!("order of {entry}: {error}")))?;
        let values = ColorJitterValues {
            order,
            brightness_model: BrightnessModel::Multiply,
            brightness: number("brightness")?,
            contrast: number("contrast")?,
            saturation: number("saturation")?,
            hue: number("hue")?,
        };
        for key in suffixes(case, "in_") {
            let mut result = image(case, &format!("in_{key}"))?;
            ops::color_jitter(&mut result, &values);
            let name = format!("out{index}_{key}");
            report.compare(&name, tolerance, result.data(), &case.values(&name)?);
        }
    }
    Ok(())
}
