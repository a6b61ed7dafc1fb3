//! Offline enlargement: more images of a class before training starts, as the
//! geology paper did with its small classes.
//!
//! ```
//! use simclr_augment::enlarge::{Enlargement, flipped_copies};
//! use simclr_augment::{Image, Seed, Stream};
//!
//! let image = Image::filled(60, 80, [0.4, 0.3, 0.2])?;
//! assert_eq!(flipped_copies(&image).len(), 3);
//! let heavier = Enlargement::default().copies(&image, Stream::new(Seed(1)).sample(17), 4)?;
//! assert_eq!(heavier.len(), 4);
//! # Ok::<(), simclr_augment::Error>(())
//! ```

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::ops::{
    self, Border, GaussianBlur, check_probability, happens, shift_scale_rotate, uniform,
};
use crate::{Error, Image, Purpose, Result, Stream, View};

/// The image mirrored left-right, up-down, and both ways: three more images.
pub fn flipped_copies(image: &Image) -> [Image; 3] {
    let left_right = ops::flip_left_right(image);
    let both = ops::flip_up_down(&left_right);
    [left_right, ops::flip_up_down(image), both]
}

/// The heavier variant: each step happens or not by itself, in the order of the
/// fields.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Enlargement {
    /// Gaussian blur. Default: probability 0.2, sigma 0.1..2, kernel a tenth of the
    /// height.
    pub blur: GaussianBlur,
    /// Probability of adaptive equalisation (CLAHE). Default: 0.2.
    pub equalize: f64,
    /// Its limit; see [`ops::equalize_adaptively`]. Default: 4.
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

impl Default for Enlargement {
    fn default() -> Self {
        Self {
            blur: GaussianBlur {
                probability: 0.2,
                ..GaussianBlur::default()
            },
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

impl Enlargement {
    /// Checks every part.
    ///
    /// # Errors
    /// Names the first value that is out of range.
    pub fn validate(&self) -> Result<()> {
        const OP: &str = "enlargement";
        self.blur.validate()?;
        for probability in [
            self.equalize,
            self.quarter_turns,
            self.shift_scale_rotate,
            self.hue_saturation,
        ] {
            check_probability(OP, probability)?;
        }
        for (name, value, limit) in [
            ("shift", self.shift, 1.0),
            ("scale", self.scale, 0.99),
            ("degrees", self.degrees, 180.0),
            ("hue", self.hue, 0.5),
            ("saturation", self.saturation, 1.0),
        ] {
            if !(0.0..=limit).contains(&value) {
                return Err(Error::parameter(
                    OP,
                    name,
                    "at least 0 and not too large",
                    value,
                ));
            }
        }
        if self.tiles == 0 || self.clip_limit.is_nan() || self.clip_limit < 1.0 {
            let got = format!("{} tiles, limit {}", self.tiles, self.clip_limit);
            return Err(Error::parameter(
                OP,
                "equalisation",
                "at least 1 of each",
                got,
            ));
        }
        Ok(())
    }

    /// `count` different copies of an image. Copy i is made with the stream's view
    /// i, so that asking for more copies later gives the same first ones.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn copies(&self, image: &Image, stream: Stream, count: u32) -> Result<Vec<Image>> {
        self.validate()?;
        (0..count)
            .map(|number| self.copy(image, stream, number))
            .collect()
    }

    /// The copy `number` of an image, from 0, without making those before it.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn copy(&self, image: &Image, stream: Stream, number: u32) -> Result<Image> {
        self.validate()?;
        let stream = stream.view(View::Index(number));
        self.altered(image, &mut stream.rng(Purpose::Enlargement))
    }

    fn altered(&self, image: &Image, rng: &mut ChaCha8Rng) -> Result<Image> {
        let mut copy = image.clone();
        if let Some(values) = self.blur.sample(copy.height(), rng)? {
            ops::gaussian_blur(&mut copy, &values)?;
        }
        if happens(self.equalize, rng) {
            let tiles = (self.tiles.min(copy.height()), self.tiles.min(copy.width()));
            ops::equalize_adaptively(&mut copy, tiles, self.clip_limit)?;
        }
        if happens(self.quarter_turns, rng) {
            copy = ops::rotate_quarter_turns(&copy, rng.random_range(1..4))?;
        }
        if happens(self.shift_scale_rotate, rng) {
            let shift = [(); 2].map(|()| uniform(-self.shift, self.shift, rng));
            let scale = uniform(1.0 - self.scale, 1.0 + self.scale, rng);
            let degrees = uniform(-self.degrees, self.degrees, rng);
            copy = shift_scale_rotate(&copy, shift.into(), scale, degrees, self.border)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    fn image() -> Image {
        let value = |i: usize| ((i * 37) % 211) as f32 / 210.0;
        Image::new(40, 56, (0..40 * 56 * 3).map(value).collect()).unwrap()
    }

    #[test]
    fn the_three_flips_differ_and_undo_themselves() {
        let image = image();
        let [left_right, up_down, both] = flipped_copies(&image);
        assert_eq!(ops::flip_left_right(&left_right), image);
        assert_eq!(ops::flip_up_down(&up_down), image);
        assert_eq!(ops::rotate_quarter_turns(&both, 2).unwrap(), image);
    }

    #[test]
    fn copies_are_seeded_in_range_and_mostly_new() {
        let image = image();
        let stream = Stream::new(Seed(5)).sample(3);
        let copies = Enlargement::default().copies(&image, stream, 40).unwrap();
        let fewer = Enlargement::default().copies(&image, stream, 7).unwrap();
        assert_eq!(copies[..7], fewer);
        let sixth = Enlargement::default().copy(&image, stream, 5).unwrap();
        assert_eq!(copies[5], sixth);
        let other = Enlargement::default()
            .copies(&image, stream.sample(4), 7)
            .unwrap();
        assert_ne!(other, fewer);
        for copy in &copies {
            assert_eq!(copy.data().len(), image.data().len());
            assert!(copy.data().iter().all(|v| (0.0..=1.0).contains(v)));
        }
        let unchanged = copies.iter().filter(|copy| **copy == image).count();
        assert!(unchanged < 15, "{unchanged}");
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let good = Enlargement::default();
        for bad in [
            Enlargement {
                equalize: 1.5,
                ..good
            },
            Enlargement { scale: 1.0, ..good },
            Enlargement {
                degrees: f64::NAN,
                ..good
            },
            Enlargement { tiles: 0, ..good },
            Enlargement {
                clip_limit: 0.5,
                ..good
            },
        ] {
            assert!(
                bad.copies(&image(), Stream::new(Seed(0)), 1).is_err(),
                "{bad:?}"
            );
        }
    }
}
