use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::crop_box::CropBox;
use crate::error::{Error, Result, check, check_probability, check_range};
use crate::image::{CHANNELS, value_count};
use crate::setters::setters;

/// Fails unless the box has pixels and lies inside an image of this size.
pub(crate) fn check_inside(crop_box: CropBox, height: usize, width: usize) -> Result<()> {
    if crop_box.is_inside(height, width) {
        return Ok(());
    }
    Err(Error::BoxOutside {
        crop_box,
        height,
        width,
    })
}

/// How boxes of the random resized crop are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RandomCrop {
    /// Smallest and largest share of the image's area. Default: 0.08 and 1.
    pub area: (f64, f64),
    /// Smallest and largest width / height, relative to the aspect ratio of the
    /// wanted output. Default: 3/4 and 4/3.
    pub aspect: (f64, f64),
    /// Boxes that cover less of the image than this are drawn again. The original
    /// sets 0.1 and thereby cuts its area range to 0.1..1. Default: 0.1.
    pub min_object_covered: f64,
    /// Draws before the whole image is taken. Default: 100.
    pub max_attempts: u32,
}

impl Default for RandomCrop {
    fn default() -> Self {
        Self {
            area: (0.08, 1.0),
            aspect: (3.0 / 4.0, 4.0 / 3.0),
            min_object_covered: 0.1,
            max_attempts: 100,
        }
    }
}

impl RandomCrop {
    setters! {
        with_area(area: (f64, f64));
        with_aspect(aspect: (f64, f64));
        with_min_object_covered(min_object_covered: f64);
        with_max_attempts(max_attempts: u32);
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// If a range is empty, not positive or not finite, or an area exceeds 1.
    pub fn validate(&self) -> Result<()> {
        check_range("crop.area", self.area, 1.0, "a range within (0, 1]")?;
        let positive = "a range of positive numbers";
        check_range("crop.aspect", self.aspect, f64::MAX, positive)?;
        check_probability("crop.min_object_covered", self.min_object_covered)?;
        let attempts = self.max_attempts;
        check(attempts > 0, "crop.max_attempts", "at least 1", attempts)
    }

    /// Draws a box in an image of `image` = (height, width) for an output of
    /// `output` = (height, width), as `tf.image.sample_distorted_bounding_box`:
    ///
    /// * the aspect ratio is uniform (not log-uniform);
    /// * the height is a uniform integer between those of the smallest and the
    ///   largest area (so the area is not uniform), limited so that the box fits;
    /// * the width is `rint(height * aspect)`; a box that rounding put outside the
    ///   area range is repaired by one row, else drawn again;
    /// * the offset is uniform, but the last possible one is never taken;
    /// * after `max_attempts` failures the box is the whole image.
    ///
    /// # Errors
    /// If the ranges are invalid, or `image` or `output` has no pixels.
    pub fn sample(
        &self,
        image: (usize, usize),
        output: (usize, usize),
        rng: &mut impl Rng,
    ) -> Result<CropBox> {
        self.validate()?;
        check_sizes(image, output)?;
        let output_aspect = output.1 as f64 / output.0 as f64;
        let low = (self.aspect.0 * output_aspect) as f32;
        let high = (self.aspect.1 * output_aspect) as f32;
        for _ in 0..self.max_attempts {
            let aspect = rng.random::<f32>() * (high - low) + low;
            if let Some(crop_box) = self.attempt(image, aspect, rng) {
                return Ok(crop_box);
            }
        }
        Ok(CropBox::whole(image.0, image.1))
    }

    /// One draw; `None` if the box cannot satisfy the constraints.
    fn attempt(
        &self,
        (image_height, image_width): (usize, usize),
        aspect: f32,
        rng: &mut impl Rng,
    ) -> Option<CropBox> {
        let width_of = |height: usize| (height as f32 * aspect).round_ties_even() as usize;
        let share = |part: f64| part as f32 * image_width as f32 * image_height as f32;
        let (min_area, max_area) = (share(self.area.0), share(self.area.1));
        let height_of = |area: f32| (area / aspect).sqrt().round_ties_even() as usize;

        let mut max_height = height_of(max_area);
        if width_of(max_height) > image_width {
            max_height = ((image_width as f64 + 0.5 - 1e-7) / f64::from(aspect)) as usize;
            if width_of(max_height) > image_width {
                max_height = max_height.saturating_sub(1);
            }
        }
        max_height = max_height.min(image_height);
        let min_height = height_of(min_area).min(max_height);

        let mut height = rng.random_range(min_height..=max_height);
        let area_of = |height: usize| (height * width_of(height)) as f32;
        if area_of(height) < min_area {
            height += 1;
        }
        if area_of(height) > max_area {
            height = height.saturating_sub(1);
        }
        let width = width_of(height);
        let area = (height * width) as f32;
        let possible = (min_area..=max_area).contains(&area)
            && (1..=image_height).contains(&height)
            && (1..=image_width).contains(&width)
            && area / share(1.0) >= self.min_object_covered as f32;
        possible.then(|| CropBox {
            y: random_offset(image_height - height, rng),
            x: random_offset(image_width - width, rng),
            height,
            width,
        })
    }
}

/// Uniform in `[0, free)`: the original never takes the last position, `free`.
fn random_offset(free: usize, rng: &mut impl Rng) -> usize {
    if free == 0 {
        0
    } else {
        rng.random_range(0..free)
    }
}

/// The box of the original's centre crop in an image of `image` = (height, width)
/// for an output of `output`: `proportion` of the side that is scarce, the other
/// side by the output's aspect ratio.
///
/// Sides are rounded half to even in `f32`; where the margin is odd, the box lies
/// one pixel further down or right (`_compute_crop_shape` and `center_crop`).
///
/// # Errors
/// If `proportion` is not in (0, 1], a size is empty, or the crop rounds to nothing.
pub fn center_crop_box(
    image: (usize, usize),
    output: (usize, usize),
    proportion: f64,
) -> Result<CropBox> {
    check_proportion(proportion)?;
    check_sizes(image, output)?;
    let (image_height, image_width) = (image.0 as f32, image.1 as f32);
    // The original divides Python floats and multiplies `f32` tensors.
    let aspect = output.1 as f64 / output.0 as f64;
    let rounded = |factor: f64, side: f32| (factor as f32 * side).round_ties_even() as usize;
    let (side, down, across) = if aspect as f32 > image_width / image_height {
        (image_width, proportion / aspect, proportion)
    } else {
        (image_height, proportion, proportion * aspect)
    };
    let (height, width) = (rounded(down, side), rounded(across, side));
    let crop_box = CropBox {
        y: image.0.saturating_sub(height).div_ceil(2),
        x: image.1.saturating_sub(width).div_ceil(2),
        height,
        width,
    };
    check_inside(crop_box, image.0, image.1)?;
    Ok(crop_box)
}

pub(crate) fn check_proportion(proportion: f64) -> Result<()> {
    let is_valid = proportion > 0.0 && proportion <= 1.0;
    check(is_valid, "crop.proportion", "within (0, 1]", proportion)
}

fn check_sizes(image: (usize, usize), output: (usize, usize)) -> Result<()> {
    value_count("the image size", image.0, image.1, CHANNELS)?;
    value_count("the output size", output.0, output.1, CHANNELS).map(|_| ())
}
