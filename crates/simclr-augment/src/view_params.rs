//! A policy with everything random decided.

use serde::{Deserialize, Serialize};

use crate::image::check_value_count;
use crate::image::sealed::Sample;
use crate::ops::{
    AllRows, AllStages, ColorJitterValues, ColorStages, CropBox, GaussianBlurValues, Planes,
    Resampling, Resizer, RotationValues, Sums, blur_in_place, gaussian_kernel, rotate,
    transpose_square,
};
use crate::simd::{Kernel, Level, vectorized};
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
        let turns = match self.rotation {
            Some(RotationValues::QuarterTurns(turns)) => turns % 4,
            _ => 0,
        };
        if !turns.is_multiple_of(2) && self.size.0 != self.size.1 {
            let size = format!("{} x {}", self.size.0, self.size.1);
            return Err(Error::parameter("quarter turns", "size", "square", size));
        }
        let mut resizer = Resizer::new(source, self.window, self.size, self.resampling)?;
        // Quarter turns are flips, which cost nothing, and a transposition.
        if self.flip_left_right != matches!(turns, 1 | 2) {
            resizer.flip_left_right();
        }
        if self.flip_up_down != matches!(turns, 2 | 3) {
            resizer.flip_up_down();
        }
        let width = self.size.1;
        let colors = ColorStages::new(self.color_jitter.as_ref(), self.grayscale);
        if let Some(RotationValues::Degrees { degrees, border }) = self.rotation {
            vectorized(AllRows {
                resizer,
                output: &mut *output,
            });
            let upright = Image::new(self.size.0, width, output.to_vec())?;
            output.copy_from_slice(rotate(&upright, degrees, border)?.data());
            let (pixels, _) = output.as_chunks_mut::<CHANNELS>();
            vectorized(AllStages {
                pixels,
                stages: colors,
            });
            return Ok(());
        }
        let (pixels, _) = output.as_chunks_mut::<CHANNELS>();
        vectorized(Draw {
            resizer,
            colors,
            pixels: &mut *pixels,
            width,
        });
        if !turns.is_multiple_of(2) {
            transpose_square(pixels, width);
        }
        Ok(())
    }
}

/// Resizes row by row, each row getting its first colour operations while it is in
/// the cache, and then does what has to wait for the whole image.
struct Draw<'a, S> {
    resizer: Resizer<'a, S>,
    colors: ColorStages,
    pixels: &'a mut [[f32; CHANNELS]],
    width: usize,
}

impl<S: Sample> Kernel for Draw<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call<L: Level>(self, level: L) {
        let mut scratch = self.resizer.scratch();
        let mut planes = Planes::new();
        let mut sums = Sums::new();
        for (y, row) in self.pixels.chunks_exact_mut(self.width).enumerate() {
            self.resizer.prepare(level, y, &mut scratch);
            let source = (&self.resizer, y);
            self.colors
                .first(source, &scratch, row, &mut sums, &mut planes);
        }
        self.colors.rest(self.pixels, self.width, sums, &mut planes);
    }
}
