use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::{color, filter, warp};
use crate::draw::{happens, uniform};
use crate::error::{Result, check, check_probability};
use crate::image::Image;
use crate::ops::blur::GaussianBlur;
use crate::ops::rotate::Border;
use crate::ops::{self, flip_left_right, rotate_quarter_turns};
use crate::setters::setters;
use crate::stream::{Purpose, Stream, View};

/// Random alterations of an image, heavier than those of views: each step happens or not
/// by itself, in the order of the fields.
///
/// Filters and warps are those of `imageproc`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HeavyAugmentation {
    /// Probability of a mean over 3 x 3 pixels. Default: 0.
    pub box_blur: f64,
    /// Probability of adaptive histogram equalisation (CLAHE). Default: 0.2.
    pub equalize: f64,
    /// Its limit; see [`ops::clahe`]. Default: 4.
    pub clip_limit: f32,
    /// The smallest limit, if it is drawn anew for each copy. Default: it is not.
    pub least_clip_limit: Option<f32>,
    /// Its tiles along each side, 1 to 256, and fewer where the image has fewer pixels. Default: 8.
    pub tiles: usize,
    /// Probability of another order of the channels. Default: 0.
    pub channel_shuffle: f64,
    /// Probability of an embossed image, mixed with the image itself. Default: 0.
    pub emboss: f64,
    /// Smallest and largest part of it in the mixture. Default: 0.2 and 0.5.
    pub emboss_alpha: (f64, f64),
    /// Smallest and largest strength of it. Default: 0.2 and 0.7.
    pub emboss_strength: (f64, f64),
    /// Gaussian blur; the image goes on beyond its edges as the pixels there. Default:
    /// probability 0.2, sigma 0.1..2, kernel a tenth of the height.
    pub blur: GaussianBlur,
    /// Probability of a multiplication of all values by a number. Default: 0.
    pub contrast: f64,
    /// Largest difference of that number from 1. Default: 0.2.
    pub contrast_limit: f64,
    /// Probability of one, two or three quarter turns. After an odd number height
    /// and width have changed places. Default: 0.5.
    pub quarter_turns: f64,
    /// Probability that rows and columns change places. Default: 0.
    pub transpose: f64,
    /// Probability of shift, scale and rotation together. Default: 0.2.
    pub shift_scale_rotate: f64,
    /// Largest shift along each side, as a part of it. Default: 0.0625.
    pub shift: f64,
    /// Largest relative change of scale. Default: 0.2.
    pub scale: f64,
    /// Largest angle, in degrees. Default: 45.
    pub degrees: f64,
    /// Probability of the distortion of a lens, barrel or pincushion. Default: 0.
    pub optical_distortion: f64,
    /// Its largest coefficient. Default: 0.05.
    pub optical_limit: f64,
    /// Probability of a distortion that stretches each column and row of a grid by itself.
    /// Default: 0.
    pub grid_distortion: f64,
    /// Cells of the grid along each side, fewer where the image has fewer pixels. Default: 5.
    pub grid_cells: usize,
    /// Largest relative change of a cell's size. Default: 0.3.
    pub grid_limit: f64,
    /// What comes in from outside in shifts and distortions. Default: reflected.
    pub border: Border,
    /// Probability of a change of hue, saturation and brightness. Default: 0.3.
    pub hue_saturation: f64,
    /// Largest change of hue, in turns. Default: 0.05.
    pub hue: f64,
    /// Largest relative change of saturation. Default: 0.3.
    pub saturation: f64,
    /// Largest shift of saturation. Default: 0.
    pub saturation_shift: f64,
    /// Largest shift of brightness (the value of HSV). Default: 0.
    pub value_shift: f64,
}

impl Default for HeavyAugmentation {
    fn default() -> Self {
        Self {
            box_blur: 0.0,
            equalize: 0.2,
            clip_limit: 4.0,
            least_clip_limit: None,
            tiles: 8,
            channel_shuffle: 0.0,
            emboss: 0.0,
            emboss_alpha: (0.2, 0.5),
            emboss_strength: (0.2, 0.7),
            blur: GaussianBlur::default().with_probability(0.2),
            contrast: 0.0,
            contrast_limit: 0.2,
            quarter_turns: 0.5,
            transpose: 0.0,
            shift_scale_rotate: 0.2,
            shift: 0.0625,
            scale: 0.2,
            degrees: 45.0,
            optical_distortion: 0.0,
            optical_limit: 0.05,
            grid_distortion: 0.0,
            grid_cells: 5,
            grid_limit: 0.3,
            border: Border::Reflect,
            hue_saturation: 0.3,
            hue: 0.05,
            saturation: 0.3,
            saturation_shift: 0.0,
            value_shift: 0.0,
        }
    }
}

impl HeavyAugmentation {
    /// The steps of the paper's script `Augmentation_more.py`, with its probabilities and
    /// strengths: those of albumentations' defaults where it names none. There each image
    /// had its three flips and one such copy.
    ///
    /// Different is that each copy is drawn by itself (the script drew the same numbers for
    /// every image), and that grey pixels stay grey where saturation is shifted.
    pub fn paper() -> Self {
        // Kernels of 3, 5 or 7 pixels, with OpenCV's deviations for them.
        let blur = GaussianBlur::default().with_probability(0.5);
        Self {
            box_blur: 0.5,
            equalize: 0.5,
            least_clip_limit: Some(1.0),
            channel_shuffle: 0.5,
            emboss: 0.5,
            blur: blur.with_sigma((0.8, 1.4)).with_height_divisor(1),
            contrast: 0.5,
            // One of four numbers of turns in half of the copies.
            quarter_turns: 0.375,
            transpose: 0.5,
            shift_scale_rotate: 0.75,
            scale: 0.5,
            optical_distortion: 0.5,
            grid_distortion: 0.5,
            hue_saturation: 0.5,
            hue: 20.0 / 180.0,
            saturation: 0.0,
            saturation_shift: 30.0 / 255.0,
            value_shift: 20.0 / 255.0,
            ..Self::default()
        }
    }

    setters! {
        with_box_blur(box_blur: f64);
        with_equalize(equalize: f64);
        with_clip_limit(clip_limit: f32);
        with_least_clip_limit(least_clip_limit: Option<f32>);
        with_tiles(tiles: usize);
        with_channel_shuffle(channel_shuffle: f64);
        with_emboss(emboss: f64);
        with_emboss_alpha(emboss_alpha: (f64, f64));
        with_emboss_strength(emboss_strength: (f64, f64));
        with_blur(blur: GaussianBlur);
        with_contrast(contrast: f64);
        with_contrast_limit(contrast_limit: f64);
        with_quarter_turns(quarter_turns: f64);
        with_transpose(transpose: f64);
        with_shift_scale_rotate(shift_scale_rotate: f64);
        with_shift(shift: f64);
        with_scale(scale: f64);
        with_degrees(degrees: f64);
        with_optical_distortion(optical_distortion: f64);
        with_optical_limit(optical_limit: f64);
        with_grid_distortion(grid_distortion: f64);
        with_grid_cells(grid_cells: usize);
        with_grid_limit(grid_limit: f64);
        with_border(border: Border);
        with_hue_saturation(hue_saturation: f64);
        with_hue(hue: f64);
        with_saturation(saturation: f64);
        with_saturation_shift(saturation_shift: f64);
        with_value_shift(value_shift: f64);
    }

    /// Checks every part.
    ///
    /// # Errors
    /// Names the first value that is out of range.
    pub fn validate(&self) -> Result<()> {
        self.blur.validate()?;
        for (name, value) in [
            ("box_blur", self.box_blur),
            ("equalize", self.equalize),
            ("channel_shuffle", self.channel_shuffle),
            ("emboss", self.emboss),
            ("contrast", self.contrast),
            ("quarter_turns", self.quarter_turns),
            ("transpose", self.transpose),
            ("shift_scale_rotate", self.shift_scale_rotate),
            ("optical_distortion", self.optical_distortion),
            ("grid_distortion", self.grid_distortion),
            ("hue_saturation", self.hue_saturation),
        ] {
            check_probability(name, value)?;
        }
        let (limit, least) = (self.clip_limit, self.least_clip_limit.unwrap_or(1.0));
        let is_limit = limit >= 1.0 && limit.is_finite();
        check(is_limit, "clip_limit", "at least 1", limit)?;
        let is_range = 1.0 <= least && least <= limit;
        check(
            is_range,
            "least_clip_limit",
            "within [1, clip_limit]",
            least,
        )?;
        for (name, (low, high)) in [
            ("emboss_alpha", self.emboss_alpha),
            ("emboss_strength", self.emboss_strength),
        ] {
            let is_range = 0.0 <= low && low <= high && high <= 1.0;
            check(
                is_range,
                name,
                "a range within [0, 1]",
                format!("{low} to {high}"),
            )?;
        }
        let are_tiles = (1..=256).contains(&self.tiles);
        check(are_tiles, "tiles", "1 to 256", self.tiles)?;
        check(
            self.grid_cells > 0,
            "grid_cells",
            "at least 1",
            self.grid_cells,
        )?;
        for (name, value, limit, expected) in [
            ("contrast_limit", self.contrast_limit, 1.0, "within [0, 1]"),
            ("shift", self.shift, 1.0, "within [0, 1]"),
            ("scale", self.scale, 0.99, "within [0, 0.99]"),
            ("degrees", self.degrees, 180.0, "within [0, 180]"),
            ("optical_limit", self.optical_limit, 1.0, "within [0, 1]"),
            ("grid_limit", self.grid_limit, 0.99, "within [0, 0.99]"),
            ("hue", self.hue, 0.5, "within [0, 0.5]"),
            ("saturation", self.saturation, 1.0, "within [0, 1]"),
            (
                "saturation_shift",
                self.saturation_shift,
                1.0,
                "within [0, 1]",
            ),
            ("value_shift", self.value_shift, 1.0, "within [0, 1]"),
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
        let copy = self.filtered(image.clone(), rng)?;
        let mut copy = self.warped(self.turned(copy, rng)?, rng)?;
        if chance(self.hue_saturation, rng) {
            ops::adjust_hue(&mut copy, around(0.0, self.hue, rng));
            ops::adjust_saturation(&mut copy, around(1.0, self.saturation, rng));
            let [saturation, value] =
                [self.saturation_shift, self.value_shift].map(|limit| around(0.0, limit, rng));
            color::shift(&mut copy, saturation, value);
        }
        ops::clip(&mut copy);
        Ok(copy)
    }

    /// Changes of pixels that stay where they are.
    fn filtered(&self, mut copy: Image, rng: &mut impl Rng) -> Result<Image> {
        if chance(self.box_blur, rng) {
            copy = filter::box_blur(copy)?;
        }
        if chance(self.equalize, rng) {
            let tiles = (self.tiles.min(copy.height()), self.tiles.min(copy.width()));
            let limit = match self.least_clip_limit {
                Some(least) => uniform(least.into(), self.clip_limit.into(), rng),
                None => self.clip_limit,
            };
            ops::clahe(&mut copy, tiles, limit)?;
        }
        if chance(self.channel_shuffle, rng) {
            let mut order = [0, 1, 2];
            order.shuffle(rng);
            color::reorder(&mut copy, order);
        }
        if chance(self.emboss, rng) {
            let [alpha, strength] = [self.emboss_alpha, self.emboss_strength]
                .map(|(low, high)| uniform(low, high, rng));
            copy = filter::emboss(copy, alpha, strength)?;
            ops::clip(&mut copy);
        }
        if let Some(params) = self.blur.sample(copy.height(), rng)? {
            copy = filter::gaussian_blur(copy, params)?;
        }
        if chance(self.contrast, rng) {
            ops::scale_brightness(&mut copy, around(1.0, self.contrast_limit, rng));
            ops::clip(&mut copy);
        }
        Ok(copy)
    }

    /// Symmetries of a square.
    fn turned(&self, mut copy: Image, rng: &mut impl Rng) -> Result<Image> {
        if chance(self.quarter_turns, rng) {
            copy = rotate_quarter_turns(&copy, rng.random_range(1..4))?;
        }
        if chance(self.transpose, rng) {
            copy = rotate_quarter_turns(&flip_left_right(&copy), 1)?;
        }
        Ok(copy)
    }

    fn warped(&self, mut copy: Image, rng: &mut impl Rng) -> Result<Image> {
        if chance(self.shift_scale_rotate, rng) {
            let shift = [(); 2].map(|()| around(0.0, self.shift, rng));
            let scale = around(1.0, self.scale, rng);
            let degrees = around(0.0, self.degrees, rng);
            copy = warp::shift_scale_rotate(copy, shift, scale, degrees, self.border)?;
        }
        if chance(self.optical_distortion, rng) {
            let coefficient = around(0.0, self.optical_limit, rng);
            copy = warp::optical_distortion(copy, coefficient, self.border)?;
        }
        if chance(self.grid_distortion, rng) {
            let cells = self.grid_cells.min(copy.height()).min(copy.width());
            let mut sizes = || {
                (0..=cells)
                    .map(|_| around(1.0, self.grid_limit, rng))
                    .collect()
            };
            let (columns, rows): (Vec<f32>, Vec<f32>) = (sizes(), sizes());
            copy = warp::grid_distortion(copy, &columns, &rows, self.border)?;
        }
        Ok(copy)
    }
}

/// Whether an event happens. For an impossible one nothing is drawn, so that steps which are
/// off leave the random numbers of the others as they are.
fn chance(probability: f64, rng: &mut impl Rng) -> bool {
    probability > 0.0 && happens(probability, rng)
}

/// A number that differs from `middle` by at most `reach`.
fn around(middle: f64, reach: f64, rng: &mut impl Rng) -> f32 {
    uniform(middle - reach, middle + reach, rng)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offline::flipped_copies;
    use crate::seed::Seed;

    fn image() -> Image {
        Image::from_fn(40, 56, |i| ((i * 37) % 211) as f32 / 210.0)
    }

    #[test]
    fn the_three_flips_differ_and_undo_themselves() {
        let image = image();
        let [left_right, up_down, both] = flipped_copies(&image);
        assert_eq!(flip_left_right(&left_right), image);
        assert_eq!(crate::ops::flip_up_down(&up_down), image);
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
    fn values_out_of_range_are_refused() {
        let good = HeavyAugmentation::default();
        for bad in [
            good.with_equalize(1.5),
            good.with_scale(1.0),
            good.with_degrees(f64::NAN),
            good.with_tiles(0),
            good.with_tiles(257),
            good.with_clip_limit(0.5),
            good.with_least_clip_limit(Some(5.0)),
            good.with_emboss_alpha((0.5, 0.2)),
            good.with_grid_cells(0),
            good.with_grid_limit(1.0),
            good.with_transpose(-0.1),
        ] {
            let copies = bad.copies(&image(), Stream::default(), 1);
            assert!(copies.is_err(), "{bad:?}");
        }
    }

    /// The preset with all steps off but those that `on` switches on.
    fn only(on: impl Fn(HeavyAugmentation) -> HeavyAugmentation) -> HeavyAugmentation {
        let mut none = HeavyAugmentation::paper();
        for probability in [
            &mut none.box_blur,
            &mut none.equalize,
            &mut none.channel_shuffle,
            &mut none.emboss,
            &mut none.blur.probability,
            &mut none.contrast,
            &mut none.quarter_turns,
            &mut none.transpose,
            &mut none.shift_scale_rotate,
            &mut none.optical_distortion,
            &mut none.grid_distortion,
            &mut none.hue_saturation,
        ] {
            *probability = 0.0;
        }
        on(none)
    }

    #[test]
    fn every_step_of_the_paper_changes_images_and_keeps_them_in_range() {
        let (image, stream) = (image(), Stream::new(Seed(8)));
        assert_eq!(only(|none| none).copy(&image, stream, 0).unwrap(), image);
        let steps: [fn(HeavyAugmentation) -> HeavyAugmentation; 12] = [
            |none| none.with_box_blur(1.0),
            |none| none.with_equalize(1.0),
            |none| none.with_channel_shuffle(1.0),
            |none| none.with_emboss(1.0),
            |none| none.with_blur(none.blur.with_probability(1.0)),
            |none| none.with_contrast(1.0),
            |none| none.with_quarter_turns(1.0),
            |none| none.with_transpose(1.0),
            |none| none.with_shift_scale_rotate(1.0),
            |none| none.with_optical_distortion(1.0),
            |none| none.with_grid_distortion(1.0),
            |none| none.with_hue_saturation(1.0),
        ];
        for (step, on) in steps.into_iter().enumerate() {
            let copies = only(on).copies(&image, stream, 8).unwrap();
            let changed = copies.iter().filter(|copy| **copy != image).count();
            // One of six orders of the channels is the old one.
            assert!(changed >= 5, "step {step}: {changed}");
            let values = || copies.iter().flat_map(|copy| copy.data());
            assert!(
                values().all(|value| (0.0..=1.0).contains(value)),
                "step {step}"
            );
        }
        let turned = only(|none| none.with_transpose(1.0))
            .copy(&image, stream, 0)
            .unwrap();
        assert_eq!(
            (turned.height(), turned.width()),
            (image.width(), image.height())
        );
        assert_eq!(turned.pixel(3, 7), image.pixel(7, 3));
    }
}
