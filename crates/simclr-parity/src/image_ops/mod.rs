//! Kind `image_ops`: every image operation of the original with its parameters
//! given, and the three ways in which images are loaded.

mod color;
mod geometry;
mod inputs;
mod loading;

use simclr_testkit::GoldenCase;

use crate::{CaseReport, Result};

/// Repeats one recorded operation.
type Operation = fn(&GoldenCase, &mut CaseReport) -> Result<()>;

/// The recorded operations by name; a case may add to the name.
const OPERATIONS: &[(&str, Operation)] = &[
    ("brightness", color::factors),
    ("center_crop", geometry::center_crop),
    ("color_jitter", color::jitter),
    ("contrast", color::factors),
    ("crop_then_bicubic", geometry::crop_then_resize),
    ("decode_jpeg", loading::files),
    ("finetuning_preprocess", loading::probe),
    ("flip", geometry::flip),
    ("gaussian_blur", geometry::blur),
    ("grayscale", color::grayscale),
    ("hue", color::factors),
    ("parse_images", loading::parse_images),
    ("resize_", geometry::resize),
    ("saturation", color::factors),
];

pub(crate) fn check(case: &GoldenCase) -> Result<CaseReport> {
    let name = case.params()["op"].as_str().unwrap_or(&case.name);
    let (_, operation) = OPERATIONS
        .iter()
        .find(|(operation, _)| name.starts_with(operation))
        .ok_or_else(|| case.error(format!("no operation is called `{name}`")))?;
    let mut report = CaseReport::default();
    operation(case, &mut report)?;
    Ok(report)
}
