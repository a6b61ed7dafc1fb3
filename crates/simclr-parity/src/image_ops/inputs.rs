//! What the cases of image operations share.

use crate::{CaseChecks, Result};
use simclr_augment::Image;
use simclr_augment::ops::CropBox;
use simclr_testkit::{GoldenCase, Tolerance};

/// The case's bound on each value.
pub(super) fn tolerance(case: &GoldenCase) -> Result<Tolerance> {
    Ok(Tolerance::absolute(case.bound("abs")?))
}

/// A recorded tensor of shape [height, width, 3].
pub(super) fn image(case: &GoldenCase, name: &str) -> Result<Image> {
    let (height, width) = size(case, name)?;
    Ok(Image::new(height, width, case.values(name)?)?)
}

/// Height and width of a recorded tensor [..., height, width, 3].
pub(super) fn size(case: &GoldenCase, name: &str) -> Result<(usize, usize)> {
    match *case.tensor(name)?.dims() {
        [.., height, width, 3] => Ok((height, width)),
        ref other => {
            let reason = format!("`{name}` should end in [height, width, 3], got {other:?}");
            Err(case.error(reason).into())
        }
    }
}

/// A box by its corner and size.
pub(crate) fn crop_box([y, x, height, width]: [usize; 4]) -> CropBox {
    CropBox {
        y,
        x,
        height,
        width,
    }
}

/// What follows `prefix` in the names of the recorded tensors.
pub(super) fn suffixes<'a>(case: &'a GoldenCase, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    let names = case.names().into_iter();
    names.filter_map(move |name| name.strip_prefix(prefix))
}

/// Compares what an operation makes of each image `in_KEY` with `out_KEY`; it is also given the
/// height and width of that.
pub(super) fn each_image(
    checks: &mut CaseChecks<'_>,
    operation: impl Fn(Image, (usize, usize)) -> Result<Vec<f32>>,
) -> Result<()> {
    let case = checks.case;
    for key in suffixes(case, "in_") {
        let expected = format!("out_{key}");
        let input = image(case, &format!("in_{key}"))?;
        let result = operation(input, size(case, &expected)?)?;
        checks.compare(&expected, tolerance(case)?, &result)?;
    }
    Ok(())
}
