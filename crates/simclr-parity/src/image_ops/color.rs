//! Colour operations.

use serde::Deserialize as _;
use serde_json::json;
use simclr_augment::Image;
use simclr_augment::ops::{self, BrightnessModel, ColorJitterParams};

use super::inputs::{each_image, image, suffixes, tolerance};
use crate::{CaseChecks, Result};

/// One operation with several factors on several images.
pub(super) fn factors(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    let name = case.params()["op"].as_str().unwrap_or(&case.name);
    let operation: fn(&mut Image, f32) = match name {
        "brightness" => ops::scale_brightness,
        "contrast" => ops::adjust_contrast,
        "hue" => ops::adjust_hue,
        "saturation" => ops::adjust_saturation,
        _ => return Err(case.error(format!("unknown `params.op`: {name}")).into()),
    };
    let factors = case.values::<f32>("factors")?;
    each_image(checks, |input, _| {
        let result = |&factor: &f32| {
            let mut result = input.clone();
            operation(&mut result, factor);
            result.into_data()
        };
        Ok(factors.iter().flat_map(result).collect())
    })
}

pub(super) fn grayscale(checks: &mut CaseChecks<'_>) -> Result<()> {
    each_image(checks, |mut image, _| {
        ops::grayscale(&mut image);
        Ok(image.into_data())
    })
}

/// The whole jitter with forced order and factors.
pub(super) fn jitter(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    let tolerance = tolerance(case)?;
    for entry in case.list("cases")? {
        let index = &entry["i"];
        let mut values = entry.clone();
        values["brightness_model"] = json!(BrightnessModel::Multiply);
        let values = ColorJitterParams::deserialize(values)
            .map_err(|error| case.error(format!("{entry}: {error}")))?;
        for key in suffixes(case, "in_") {
            let mut result = image(case, &format!("in_{key}"))?;
            ops::color_jitter(&mut result, &values);
            let name = format!("out{index}_{key}");
            checks.compare(&name, tolerance, result.data())?;
        }
    }
    Ok(())
}
