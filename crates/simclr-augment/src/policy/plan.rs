//! A policy with everything random decided.

use serde::{Deserialize, Serialize};

use crate::image::check_value_count;
use crate::ops::{
    ColorJitterValues, ColorStages, CropBox, GaussianBlurValues, Planes, Resampling, Resizer,
    RotationValues, blur_in_place, gaussian_kernel,
};
use crate::{CHANNELS, Error, Image, Pixels, Result};

/// What happens to one image for one view: a [`Policy`](crate::Policy) after its
/// dice have fallen. The explicit form of the whole policy, to be written by hand,
/// inspected or saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Height and width of the view.
    pub size: (usize, usize),
    /// Height and width to which the whole image is squashed first.
    pub squash: Option<(usize, usize)>,
    /// The part of the (squashed) image that is shown.
    pub window: CropBox,
    /// How it is resized to `size`.
    pub resampling: Resampling,
    /// Whether it is mirrored left-right.
    pub flip_left_right: bool,
    /// Whether it is mirrored up-down.
    pub flip_up_down: bool,
    /// How it is rotated.
    pub rotation: Option<RotationValues>,
    /// How its colours are jittered.
    pub color_jitter: Option<ColorJitterValues>,
    /// Whether it is made grey.
    pub grayscale: bool,
    /// How it is blurred.
    pub blur: Option<GaussianBlurValues>,
}

impl Plan {
    /// The view of `source`.
    ///
    /// # Errors
    /// If the box does not lie inside the (squashed) image, the view's size is
    /// empty, or a value is out of its operation's range.
    pub fn apply(&self, source: &impl Pixels) -> Result<Image> {
        let mut view = Image::zeros("view", self.size.0, self.size.1)?;
        self.apply_into(source, view.data_mut())?;
        Ok(view)
    }

    /// [`Self::apply`] into a slice of `height * width * 3` values.
    ///
    /// # Errors
    /// As [`Self::apply`], and if the slice has another length.
    pub fn apply_into<P: Pixels>(&self, source: &P, output: &mut [f32]) -> Result<()> {
        let (height, width) = self.size;
        check_value_count("view", height, width, CHANNELS, output.len())?;
        match super::squash(self.squash, source)? {
            Some(image) => self.draw(&image, output)?,
            None => self.draw(source, output)?,
        }
        if let Some(blur) = self.blur {
            let kernel = gaussian_kernel(blur.kernel_size, blur.sigma)?;
            blur_in_place::<true>(output, width * CHANNELS, &kernel);
        }
        Ok(())
    }

    /// Everything between squash and blur.
    fn draw(&self, source: &impl Pixels, output: &mut [f32]) -> Result<()> {
        let mut resizer = Resizer::new(source, self.window, self.size, self.resampling)?;
        if self.flip_left_right {
            resizer.flip_left_right();
        }
        if self.flip_up_down {
            resizer.flip_up_down();
        }
        let colors = ColorStages::new(self.color_jitter.as_ref(), self.grayscale);
        let row_length = self.size.1 * CHANNELS;
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                let mut scratch = resizer.scratch();
                let mut planes = Planes::new();
                if let Some(rotation) = &self.rotation {
                    for (y, row) in output.chunks_exact_mut(row_length).enumerate() {
                        row.copy_from_slice(resizer.row(y, &mut scratch));
                    }
                    self.rotate(rotation, output)?;
                    let (pixels, _) = output.as_chunks_mut::<CHANNELS>();
                    let sums = colors.first(pixels, &mut planes);
                    colors.rest(pixels, sums, &mut planes);
                    return Ok(());
                }
                let mut sums = [0.0; CHANNELS];
                for (y, row) in output.chunks_exact_mut(row_length).enumerate() {
                    let resized = resizer.row(y, &mut scratch);
                    let (pixels, _) = resized.as_chunks_mut::<CHANNELS>();
                    for (sum, part) in sums.iter_mut().zip(colors.first(pixels, &mut planes)) {
                        *sum += part;
                    }
                    row.copy_from_slice(resized);
                }
                let (pixels, _) = output.as_chunks_mut::<CHANNELS>();
                colors.rest(pixels, sums, &mut planes);
                Ok(())
            },
        )
    }

    fn rotate(&self, rotation: &RotationValues, output: &mut [f32]) -> Result<()> {
        let (height, width) = self.size;
        let rotated = rotation.apply(&Image::new(height, width, output.to_vec())?)?;
        if (rotated.height(), rotated.width()) != self.size {
            let size = format!("{height} x {width}");
            return Err(Error::parameter("quarter turns", "size", "square", size));
        }
        output.copy_from_slice(rotated.data());
        Ok(())
    }
}
