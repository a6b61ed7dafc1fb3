//! Offline augmentation: altered copies of images made before training starts, as the
//! geology paper did for its small classes.
//!
//! ```
//! use simclr_augment::offline::{HeavyAugmentation, flipped_copies};
//! use simclr_augment::{Image, Seed, Stream};
//!
//! let image = Image::filled(60, 80, [0.4, 0.3, 0.2])?;
//! assert_eq!(flipped_copies(&image).len(), 3);
//! let stream = Stream::new(Seed(1)).sample(17);
//! let copies = HeavyAugmentation::default().copies(&image, stream, 4)?;
//! assert_eq!(copies.len(), 4);
//! # Ok::<(), simclr_augment::Error>(())
//! ```

use image::{Rgb, Rgb32FImage};
use imageproc::filter::separable_filter_equal;
use imageproc::geometric_transformations::{
    Border as Extension, Interpolation, rotate90, rotate180, rotate270, warp_with,
};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::draw::{happens, uniform};
use crate::error::{Result, check, check_probability};
use crate::image::Image;
use crate::ops::blur::{GaussianBlur, GaussianBlurParams, gaussian_kernel};
use crate::ops::rotate::Border;
use crate::ops::{self, flip_left_right, flip_up_down};
use crate::setters::setters;
use crate::stream::{Purpose, Stream, View};

/// The image mirrored left-right, up-down, and both ways: three more images.
pub fn flipped_copies(image: &Image) -> [Image; 3] {
    let left_right = flip_left_right(image);
    let both = flip_up_down(&left_right);
    [left_right, flip_up_down(image), both]
}

/// Random alterations of an image, heavier than those of views: each step happens or not
/// by itself, in the order of the fields.
///
/// Blur, turns and warps are those of `imageproc`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HeavyAugmentation {
    /// Gaussian blur; the image goes on beyond its edges as the pixels there. Default:
    /// probability 0.2, sigma 0.1..2, kernel a tenth of the height.
    pub blur: GaussianBlur,
    /// Probability of adaptive histogram equalisation (CLAHE). Default: 0.2.
    pub equalize: f64,
    /// Its limit; see [`ops::clahe`]. Default: 4.
    pub clip_limit: f32,
    /// Its tiles along each side, fewer where the image has fewer pixels. Default: 8.
    pub tiles: usize,
    /// Probability of one, two or three quarter turns. After an odd number height
    /// and width have changed places. Default: 0.5.
    pub quarter_turns: f64,
    /// Probability of shift, scale and rotation together. Default: 0.2.
    pub shift_scale_rotate: f64,
    /// Largest shift along each side, as a part of it. Default: 0.0625.
    pub shift: f64,
    /// Largest relative change of scale. Default: 0.2.
    pub scale: f64,
    /// Largest angle, in degrees. Default: 45.
    pub degrees: f64,
    /// What comes in from outside. Default: reflected.
    pub border: Border,
    /// Probability of a change of hue and saturation. Default: 0.3.
    pub hue_saturation: f64,
    /// Largest change of hue, in turns. Default: 0.05.
    pub hue: f64,
    /// Largest relative change of saturation. Default: 0.3.
    pub saturation: f64,
}

impl Default for HeavyAugmentation {
    fn default() -> Self {
        Self {
            blur: GaussianBlur::default().with_probability(0.2),
            equalize: 0.2,
            clip_limit: 4.0,
            tiles: 8,
            quarter_turns: 0.5,
            shift_scale_rotate: 0.2,
            shift: 0.0625,
            scale: 0.2,
            degrees: 45.0,
            border: Border::Reflect,
            hue_saturation: 0.3,
            hue: 0.05,
            saturation: 0.3,
        }
    }
}

impl HeavyAugmentation {
    setters! {
        with_blur(blur: GaussianBlur);
        with_equalize(equalize: f64);
        with_clip_limit(clip_limit: f32);
        with_tiles(tiles: usize);
        with_quarter_turns(quarter_turns: f64);
        with_shift_scale_rotate(shift_scale_rotate: f64);
        with_shift(shift: f64);
        with_scale(scale: f64);
        with_degrees(degrees: f64);
        with_border(border: Border);
        with_hue_saturation(hue_saturation: f64);
        with_hue(hue: f64);
        with_saturation(saturation: f64);
    }

    /// Checks every part.
    ///
    /// # Errors
    /// Names the first value that is out of range.
    pub fn validate(&self) -> Result<()> {
        self.blur.validate()?;
        check_probability("equalize", self.equalize)?;
        check_probability("quarter_turns", self.quarter_turns)?;
        check_probability("shift_scale_rotate", self.shift_scale_rotate)?;
        check_probability("hue_saturation", self.hue_saturation)?;
        let limit = self.clip_limit;
        check(limit >= 1.0, "clip_limit", "at least 1", limit)?;
        check(self.tiles > 0, "tiles", "at least 1", self.tiles)?;
        for (name, value, limit, expected) in [
            ("shift", self.shift, 1.0, "within [0, 1]"),
            ("scale", self.scale, 0.99, "within [0, 0.99]"),
            ("degrees", self.degrees, 180.0, "within [0, 180]"),
            ("hue", self.hue, 0.5, "within [0, 0.5]"),
            ("saturation", self.saturation, 1.0, "within [0, 1]"),
        ] {
            check((0.0..=limit).contains(&value), name, expected, value)?;
        }
        Ok(())
    }

    /// `count` different copies of an image. Copy i is made with the stream's view
    /// i, so that asking for more copies later gives the same first ones.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn copies(&self, image: &Image, stream: Stream, count: u32) -> Result<Vec<Image>> {
        (0..count)
            .map(|number| self.copy(image, stream, number))
            .collect()
    }

    /// The copy `number` of an image, from 0, without making those before it.
    ///
    /// # Errors
    /// As [`Self::validate`], and if a side of the image exceeds `u32`.
    pub fn copy(&self, image: &Image, stream: Stream, number: u32) -> Result<Image> {
        self.validate()?;
        let rng = &mut stream.view(View::Index(number)).rng(Purpose::Offline);
        let mut copy = image.clone();
        if let Some(params) = self.blur.sample(copy.height(), rng)? {
            copy = blur(copy, params)?;
        }
        if happens(self.equalize, rng) {
            let tiles = (self.tiles.min(copy.height()), self.tiles.min(copy.width()));
            ops::clahe(&mut copy, tiles, self.clip_limit)?;
        }
        if happens(self.quarter_turns, rng) {
            let image = Rgb32FImage::try_from(copy)?;
            let turned = match rng.random_range(1..4) {
                1 => rotate270(&image),
                2 => rotate180(&image),
                _ => rotate90(&image),
            };
            copy = turned.try_into()?;
        }
        if happens(self.shift_scale_rotate, rng) {
            let shift = [(); 2].map(|()| uniform(-self.shift, self.shift, rng));
            let scale = uniform(1.0 - self.scale, 1.0 + self.scale, rng);
            let degrees = uniform(-self.degrees, self.degrees, rng);
            copy = shift_scale_rotate(copy, shift, scale, degrees, self.border)?;
        }
        if happens(self.hue_saturation, rng) {
            ops::adjust_hue(&mut copy, uniform(-self.hue, self.hue, rng));
            let factor = uniform(1.0 - self.saturation, 1.0 + self.saturation, rng);
            ops::adjust_saturation(&mut copy, factor);
        }
        ops::clip(&mut copy);
        Ok(copy)
    }
}

/// Blurs with the weights of [`gaussian_kernel`], without those beyond four standard
/// deviations.
fn blur(image: Image, params: GaussianBlurParams) -> Result<Image> {
    let reach = 2 * (4.0 * params.sigma).ceil() as usize;
    let kernel = gaussian_kernel(params.kernel_size.min(reach), params.sigma)?;
    separable_filter_equal(&Rgb32FImage::try_from(image)?, &kernel).try_into()
}

/// Enlarges by `scale` and rotates counter-clockwise by `degrees` about the
/// image's centre, then shifts by `shift` = [down, right] as parts of height and
/// width. The size is kept; bilinear between pixels.
fn shift_scale_rotate(
    image: Image,
    [down, right]: [f32; 2],
    scale: f32,
    degrees: f32,
    border: Border,
) -> Result<Image> {
    let image = Rgb32FImage::try_from(image)?;
    let (width, height) = (image.width() as f32, image.height() as f32);
    let (last_x, last_y) = (width - 1.0, height - 1.0);
    // Not the platform's functions, whose last bits differ from one platform to another.
    let (sin, cos) = libm::sincosf(degrees.to_radians());
    let source = |x: f32, y: f32| {
        let dx = (x - last_x / 2.0 - right * width) / scale;
        let dy = (y - last_y / 2.0 - down * height) / scale;
        let from_x = last_x / 2.0 + dx * cos - dy * sin;
        let from_y = last_y / 2.0 + dx * sin + dy * cos;
        match border {
            Border::Reflect => (reflect(from_x, last_x), reflect(from_y, last_y)),
            Border::Nearest | Border::Black => (from_x, from_y),
        }
    };
    let extension = match border {
        Border::Reflect | Border::Nearest => Extension::Replicate,
        Border::Black => Extension::Constant(Rgb([0.0; 3])),
    };
    warp_with(&image, source, Interpolation::Bilinear, extension).try_into()
}

/// Folds a position into [0, last], as if the image were mirrored at its outermost pixels.
fn reflect(position: f32, last: f32) -> f32 {
    if last > 0.0 {
        last - (position.rem_euclid(2.0 * last) - last).abs()
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::rotate_quarter_turns;
    use crate::seed::Seed;

    fn image() -> Image {
        Image::from_fn(40, 56, |i| ((i * 37) % 211) as f32 / 210.0)
    }

    fn assert_close(a: &Image, b: &Image) {
        assert_eq!((a.height(), a.width()), (b.height(), b.width()));
        for (a, b) in a.data().iter().zip(b.data()) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }

    #[test]
    fn the_three_flips_differ_and_undo_themselves() {
        let image = image();
        let [left_right, up_down, both] = flipped_copies(&image);
        assert_eq!(flip_left_right(&left_right), image);
        assert_eq!(flip_up_down(&up_down), image);
        assert_eq!(rotate_quarter_turns(&both, 2).unwrap(), image);
    }

    #[test]
    fn copies_are_seeded_in_range_and_mostly_new() {
        let image = image();
        let stream = Stream::new(Seed(5)).sample(3);
        let heavy = HeavyAugmentation::default();
        let copies = heavy.copies(&image, stream, 40).unwrap();
        let fewer = heavy.copies(&image, stream, 7).unwrap();
        assert_eq!(copies[..7], fewer);
        assert_eq!(copies[5], heavy.copy(&image, stream, 5).unwrap());
        assert_ne!(heavy.copies(&image, stream.sample(4), 7).unwrap(), fewer);
        for copy in &copies {
            assert_eq!(copy.data().len(), image.data().len());
            assert!(copy.data().iter().all(|v| (0.0..=1.0).contains(v)));
        }
        let unchanged = copies.iter().filter(|copy| **copy == image).count();
        assert!(unchanged < 15, "{unchanged}");
    }

    #[test]
    fn quarter_turns_are_those_of_the_views() {
        let image = image();
        let mut heavy = HeavyAugmentation::default().with_quarter_turns(1.0);
        heavy = heavy.with_equalize(0.0).with_shift_scale_rotate(0.0);
        heavy = heavy.with_hue_saturation(0.0);
        heavy.blur.probability = 0.0;
        let copies = heavy.copies(&image, Stream::new(Seed(1)), 20).unwrap();
        for turns in 1..4 {
            assert!(copies.contains(&rotate_quarter_turns(&image, turns).unwrap()));
        }
    }

    #[test]
    fn warps_rotate_shift_and_scale() {
        let (image, none) = (image(), [0.0; 2]);
        for border in [Border::Reflect, Border::Nearest, Border::Black] {
            let warped = shift_scale_rotate(image.clone(), none, 1.0, 17.0, border).unwrap();
            assert_close(&warped, &ops::rotate(&image, 17.0, border).unwrap());
        }
        let shift = [0.25, 0.5];
        let shifted = shift_scale_rotate(image.clone(), shift, 1.0, 0.0, Border::Black).unwrap();
        assert_eq!(shifted.pixel(11, 29), image.pixel(1, 1));
        assert_eq!(shifted.pixel(0, 3), Some([0.0; 3]));
        // The two centre pixels of a row at twice the size lie a quarter from the middle.
        let gray = |column: f32| [column; 3];
        let ramp = Image::from_fn(4, 4, |i| (i / 3 % 4) as f32);
        let larger = shift_scale_rotate(ramp, none, 2.0, 0.0, Border::Nearest).unwrap();
        assert_eq!(larger.pixel(1, 1), Some(gray(1.25)));
        assert_eq!(larger.pixel(1, 3), Some(gray(2.25)));
    }

    #[test]
    fn blurs_keep_edges_bright() {
        let white = Image::filled(30, 20, [1.0; 3]).unwrap();
        let params = GaussianBlurParams {
            kernel_size: 9,
            sigma: 1.5,
        };
        assert_close(&blur(white.clone(), params).unwrap(), &white);
        let mut expected = image();
        ops::gaussian_blur(&mut expected, &params).unwrap();
        let blurred = blur(image(), params).unwrap();
        for (row, column) in [(10, 10), (20, 40)] {
            let (a, b) = (blurred.pixel(row, column), expected.pixel(row, column));
            assert!((a.unwrap()[1] - b.unwrap()[1]).abs() < 1e-5);
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let good = HeavyAugmentation::default();
        for bad in [
            good.with_equalize(1.5),
            good.with_scale(1.0),
            good.with_degrees(f64::NAN),
            good.with_tiles(0),
            good.with_clip_limit(0.5),
        ] {
            let copies = bad.copies(&image(), Stream::default(), 1);
            assert!(copies.is_err(), "{bad:?}");
        }
    }
}
