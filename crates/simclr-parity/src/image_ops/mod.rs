//! Kind `image_ops`: every image operation of the original with its parameters
//! given, and the three ways in which images are loaded.

mod color;
mod geometry;
pub(crate) mod inputs;
mod loading;

use crate::{CaseChecks, Checker, Result};

/// The recorded operations by name; a case may add to the name.
const OPERATIONS: &[(&str, Checker)] = &[
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

pub(crate) fn check(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    let name = case.params()["op"].as_str().unwrap_or(&case.name);
    let mut operations = OPERATIONS.iter();
    let (_, operation) = operations
        .find(|(operation, _)| name.starts_with(operation))
        .ok_or_else(|| case.error(format!("no operation is called `{name}`")))?;
    operation(checks)
}
