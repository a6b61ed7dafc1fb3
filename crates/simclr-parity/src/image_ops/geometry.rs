//! Crops, resizes, flips and blurs.

use serde::Deserialize as _;
use simclr_augment::ops::{self, GaussianBlurParams, Resampling};
use simclr_augment::{Crop, Policy, Seed, Stream};

use super::inputs::{crop_box, each_image, image, size, suffixes, tolerance};
use crate::{CaseChecks, Result};

/// Whole images resized to the sizes of the recorded results.
pub(super) fn resize(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    let method = case.params()["method"].as_str();
    let resampling = match (method, case.flag("half_pixel_centers")?) {
        (Some("bicubic"), true) => Resampling::Bicubic,
        (Some("bicubic"), false) => Resampling::BicubicLegacy,
        (Some("bilinear"), true) => Resampling::Bilinear,
        other => return Err(case.error(format!("unknown resize {other:?}")).into()),
    };
    each_image(checks, |image, (height, width)| {
        Ok(ops::resize(&image, height, width, resampling)?.into_data())
    })
}

/// Boxes cut out and resized.
pub(super) fn crop_then_resize(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    let tolerance = tolerance(case)?;
    let input = image(case, "in")?;
    let boxes = <Vec<[usize; 4]>>::deserialize(&case.params()["boxes_y_x_h_w"])
        .map_err(|error| case.error(format!("params.boxes_y_x_h_w: {error}")))?;
    for (index, values) in boxes.into_iter().enumerate() {
        let name = format!("out_{index}");
        let (height, width) = size(case, &name)?;
        let window = crop_box(values);
        let result = ops::crop_and_resize(&input, window, height, width, Resampling::Bicubic)?;
        checks.compare(&name, tolerance, result.data())?;
    }
    Ok(())
}

/// The centre crop: its box, its pixels, and `preprocess_for_eval` with it.
pub(super) fn center_crop(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    let tolerance = tolerance(case)?;
    let proportion = case.number("crop_proportion")?;
    for key in suffixes(case, "in_") {
        let input = image(case, &format!("in_{key}"))?;
        let name = format!("out_{key}");
        let (height, width) = size(case, &name)?;
        let result = ops::center_crop(&input, height, width, proportion, Resampling::Bicubic)?;
        checks.compare(&name, tolerance, result.data())?;
        let policy = Policy::evaluation(height)
            .with_size(height, width)
            .with_crop(Crop::Center { proportion });
        let name = format!("eval_{key}");
        let result = policy.apply(&input, Stream::new(Seed(0)))?;
        checks.compare(&name, tolerance, result.data())?;
    }
    let shapes = case.values::<i64>("crop_shapes")?;
    for row in shapes.as_chunks::<8>().0 {
        let [in_h, in_w, out_h, out_w, height, width, y, x] = row.map(|value| value as usize);
        let window = ops::center_crop_box((in_h, in_w), (out_h, out_w), proportion)?;
        let name = format!("box of {in_h} x {in_w} for {out_h} x {out_w}");
        checks
            .report
            .require(&name, window == crop_box([y, x, height, width]));
    }
    Ok(())
}

pub(super) fn flip(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    let tolerance = tolerance(case)?;
    let result = ops::flip_left_right(&image(case, "in")?);
    checks.compare("out", tolerance, result.data())
}

/// Gaussian blur and its kernel.
pub(super) fn blur(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    let tolerance = tolerance(case)?;
    for entry in case.list("cases")? {
        let key = entry["key"].as_str().zip(entry["kernel_size_arg"].as_u64());
        let Some(((key, kernel_size), sigma)) = key.zip(entry["sigma"].as_f64()) else {
            let reason = format!("no key, kernel size and sigma in {entry}");
            return Err(case.error(reason).into());
        };
        let values = GaussianBlurParams {
            kernel_size: kernel_size as usize,
            sigma: sigma as f32,
        };
        let name = format!("kernel_{key}");
        let kernel = ops::gaussian_kernel(values.kernel_size, values.sigma)?;
        checks.compare(&name, tolerance, &kernel)?;
        let mut result = image(case, &format!("in_{key}"))?;
        ops::gaussian_blur(&mut result, &values)?;
        let name = format!("out_{key}");
        checks.compare(&name, tolerance, result.data())?;
    }
    Ok(())
}
