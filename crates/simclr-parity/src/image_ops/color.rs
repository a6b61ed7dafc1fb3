//! Colour operations.

use serde::Deserialize as _;
use simclr_augment::Image;
use simclr_augment::ops::{self, BrightnessModel, ColorJitterParams, JitterStep};
use simclr_testkit::GoldenCase;

use super::inputs::{each_image, image, suffixes, tolerance};
use crate::{CaseReport, Result};

/// One operation with several factors on several images.
pub(super) fn factors(case: &GoldenCase, report: &mut CaseReport) -> Result<()> {
    let name = case.params()["op"].as_str().unwrap_or(&case.name);
    let operation: fn(&mut Image, f32) = match name {
        "brightness" => ops::scale_brightness,
        "contrast" => ops::adjust_contrast,
        "hue" => ops::adjust_hue,
        "saturation" => ops::adjust_saturation,
        _ => return Err(case.error(format!("unknown `params.op`: {name}")).into()),
    };
    let factors = case.values("factors")?;
    each_image(case, report, |input, _| {
        let result = |&factor: &f32| {
            let mut result = input.clone();
            operation(&mut result, factor);
            result.into_data()
        };
        Ok(factors.iter().flat_map(result).collect())
    })
}

pub(super) fn grayscale(case: &GoldenCase, report: &mut CaseReport) -> Result<()> {
    each_image(case, report, |mut image, _| {
        ops::grayscale(&mut image);
        Ok(image.into_data())
    })
}

/// The whole jitter with forced order and factors.
pub(super) fn jitter(case: &GoldenCase, report: &mut CaseReport) -> Result<()> {
    let tolerance = tolerance(case)?;
    for entry in case.list("cases")? {
        let index = &entry["i"];
        let number = |key: &str| {
            entry[key]
                .as_f64()
                .map(|value| value as f32)
                .ok_or_else(|| case.error(format!("expected a number `{key}` in {entry}")))
        };
        let order = <[JitterStep; 4]>::deserialize(&entry["order"])
            .map_err(|error| case.error(format!("order of {entry}: {error}")))?;
        let values = ColorJitterParams {
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
            report.compare_recorded(case, &name, tolerance, result.data())?;
        }
    }
    Ok(())
}
