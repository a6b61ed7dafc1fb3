//! Kind `image_ops`: every image operation of the original with its parameters
//! given, and the three ways in which images are loaded.

mod color;
mod geometry;
mod loading;

use simclr_augment::Image;
use simclr_testkit::GoldenCase;

use crate::{CaseReport, Error, Result};

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
        .ok_or_else(|| unsupported(case, format!("no operation is called `{name}`")))?;
    let mut report = CaseReport::default();
    operation(case, &mut report)?;
    Ok(report)
}

fn unsupported(case: &GoldenCase, reason: impl Into<String>) -> Error {
    Error::Unsupported {
        case: format!("{}/{}", case.kind, case.name),
        reason: reason.into(),
    }
}

/// A recorded tensor of shape [height, width, 3].
fn image(case: &GoldenCase, name: &str) -> Result<Image> {
    let (height, width) = size(case, name)?;
    Ok(Image::new(height, width, case.values(name)?)?)
}

/// Height and width of a recorded tensor [..., height, width, 3].
fn size(case: &GoldenCase, name: &str) -> Result<(usize, usize)> {
    match *case.tensor(name)?.dims() {
        [.., height, width, 3] => Ok((height, width)),
        ref other => Err(unsupported(
            case,
            format!("`{name}` should end in [height, width, 3], got {other:?}"),
        )),
    }
}

/// What follows `prefix` in the names of the recorded tensors.
fn suffixes<'a>(case: &'a GoldenCase, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    case.names()
        .into_iter()
        .filter_map(move |name| name.strip_prefix(prefix))
}
