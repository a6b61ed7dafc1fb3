use serde::{Deserialize, Serialize};

use crate::crop_box::CropBox;
use crate::error::{Result, check};
use crate::image::{CHANNELS, Image, ImageBuffer, check_value_count, check_view_size};
use crate::ops::blur::{GaussianBlurParams, blur_in_place, gaussian_kernel};
use crate::ops::color::jitter::ColorJitterParams;
use crate::ops::color::passes::{ColorPasses, recolor, resize_and_recolor};
use crate::ops::resize::resize_source;
use crate::ops::resizer::Resizer;
use crate::ops::rotate::{RotationParams, rotate, transpose_square};
use crate::ops::taps::Resampling;
use crate::sample::{Sample, Source};

/// What happens to one image for one view: what [`Policy::sample`](crate::Policy::sample)
/// draws. The explicit form of the whole policy, to be written by hand, inspected or
/// saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewParams {
    /// Height and width of the view.
    pub size: (usize, usize),
    /// Height and width to which the whole image is squashed first.
    pub squash: Option<(usize, usize)>,
    /// The part of the (squashed) image that is shown.
    #[serde(alias = "window")]
    pub crop_box: CropBox,
    /// How it is resized to `size`.
    pub resampling: Resampling,
    /// Whether it is mirrored left-right.
    pub flip_left_right: bool,
    /// Whether it is mirrored up-down.
    pub flip_up_down: bool,
    /// How it is rotated.
    pub rotation: Option<RotationParams>,
    /// How its colours are jittered.
    pub color_jitter: Option<ColorJitterParams>,
    /// Whether it is made grey.
    pub grayscale: bool,
    /// How it is blurred.
    pub blur: Option<GaussianBlurParams>,
}

impl ViewParams {
    /// The view of `source`.
    ///
    /// # Errors
    /// If the box does not lie inside the (squashed) image, the view's size is
    /// empty, or a value is out of its operation's range.
    pub fn apply<S: Sample>(&self, source: &ImageBuffer<S>) -> Result<Image> {
        check_view_size("size", self.size)?;
        let mut view = Image::zeros(self.size.0, self.size.1)?;
        self.apply_into(source, view.data_mut())?;
        Ok(view)
    }

    /// [`Self::apply`] into a slice of `height * width * 3` values.
    ///
    /// # Errors
    /// As [`Self::apply`], and if the slice has another length.
    pub fn apply_into<S: Sample>(&self, source: &ImageBuffer<S>, output: &mut [f32]) -> Result<()> {
        self.apply_to(source.into(), output)
    }

    /// [`Self::apply_into`] of either type.
    pub(crate) fn apply_to(&self, source: Source<'_>, output: &mut [f32]) -> Result<()> {
        let (height, width) = self.size;
        check_value_count(height, width, CHANNELS, output.len())?;
        match squash(self.squash, source)? {
            Some(image) => self.apply_before_blur((&image).into(), output)?,
            None => self.apply_before_blur(source, output)?,
        }
        if let Some(blur) = self.blur {
            let kernel = gaussian_kernel(blur.kernel_size, blur.sigma)?;
            blur_in_place::<true>(output, width * CHANNELS, &kernel);
        }
        Ok(())
    }

    /// Everything between squash and blur.
    fn apply_before_blur(&self, source: Source<'_>, output: &mut [f32]) -> Result<()> {
        let turns = match self.rotation {
            Some(RotationParams::QuarterTurns(turns)) => turns % 4,
            _ => 0,
        };
        check_square(self.size, !turns.is_multiple_of(2))?;
        let mut resizer = Resizer::new(source, self.crop_box, self.size, self.resampling)?;
        // Quarter turns are flips, which cost nothing, and a transposition.
        if self.flip_left_right != matches!(turns, 1 | 2) {
            resizer.flip_left_right();
        }
        if self.flip_up_down != matches!(turns, 2 | 3) {
            resizer.flip_up_down();
        }
        let colors = ColorPasses::new(self.color_jitter.as_ref(), self.grayscale);
        let Some(RotationParams::Degrees { degrees, border }) = self.rotation else {
            resize_and_recolor(resizer, colors, output);
            if !turns.is_multiple_of(2) {
                transpose_square(output.as_chunks_mut().0, self.size.1);
            }
            return Ok(());
        };
        resize_and_recolor(resizer, ColorPasses::none(), output);
        let upright = Image::new(self.size.0, self.size.1, output.to_vec())?;
        output.copy_from_slice(rotate(&upright, degrees, border)?.data());
        recolor(output.as_chunks_mut().0, colors);
        Ok(())
    }
}

/// Resizes to the size asked for, unless the image has it already.
pub(crate) fn squash(size: Option<(usize, usize)>, source: Source<'_>) -> Result<Option<Image>> {
    match size {
        Some(size) if (source.height, source.width) != size => {
            check_view_size("squash", size)?;
            resize_source(source, size, Resampling::Bilinear).map(Some)
        }
        _ => Ok(None),
    }
}

/// Fails if views of another shape than a square are to be turned by 90 degrees.
pub(crate) fn check_square((height, width): (usize, usize), is_turned: bool) -> Result<()> {
    let is_valid = height == width || !is_turned;
    let found = format_args!("{height} x {width}");
    check(is_valid, "size", "square for quarter turns", found)
}
