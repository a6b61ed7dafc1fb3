//! Augmentation policies: what happens to an image, as a value.

mod display;
mod plan;

use serde::{Deserialize, Serialize};

pub use plan::Plan;

use crate::image::value_count;
use crate::ops::{
    Border, BrightnessModel, ColorJitter, CropBox, GaussianBlur, RandomCrop, Resampling, Rotation,
    center_crop_box, check_probability, happens, resize,
};
use crate::{CHANNELS, Error, Image, Pixels, Purpose, Result, Stream, View};

/// Which part of an image a view shows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crop {
    /// All of it.
    Whole,
    /// A random box.
    Random(RandomCrop),
    /// The middle.
    Center {
        /// The part of the scarce side that is kept.
        proportion: f64,
    },
}

/// The part of an image that evaluation keeps, as is usual for ImageNet.
pub const CENTER_CROP_PROPORTION: f64 = 0.875;

/// What happens to an image before a network sees it, in this order: squash, crop
/// and resize, flips, rotation, colour jitter, greyscale, clip to [0, 1], blur,
/// clip.
///
/// A policy is a plain value: made by a preset such as [`Policy::simclr_v2`],
/// changed by its builder methods or its fields, printed by `Display`, saved and
/// read by `serde`. What it does to one image is fixed by the [`Stream`] given.
///
/// ```
/// use simclr_augment::Policy;
///
/// let policy = Policy::paper(224).with_rock_symmetries();
/// let json = serde_json::to_string(&policy)?;
/// assert_eq!(serde_json::from_str::<Policy>(&json)?, policy);
/// println!("{policy}");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Height and width of a view.
    pub size: (usize, usize),
    /// Height and width to which the whole image is resized (bilinear, aspect
    /// ratio lost) before anything else.
    pub squash: Option<(usize, usize)>,
    /// The part that a view shows.
    pub crop: Crop,
    /// How the crop is resized to `size`.
    pub resampling: Resampling,
    /// Probability of a left-right flip.
    pub flip_left_right: f64,
    /// Probability of an up-down flip.
    pub flip_up_down: f64,
    /// Rotation.
    pub rotation: Rotation,
    /// Colour jitter.
    pub color_jitter: Option<ColorJitter>,
    /// Probability of greyscale.
    pub grayscale: f64,
    /// Gaussian blur.
    pub blur: Option<GaussianBlur>,
}

impl Policy {
    /// SimCLRv2's training views: random crop, TF2 bicubic, left-right flip, colour
    /// jitter of strength 1 with multiplied brightness, greyscale, blur.
    pub fn simclr_v2(size: usize) -> Self {
        Self {
            size: (size, size),
            squash: None,
            crop: Crop::Random(RandomCrop::default()),
            resampling: Resampling::Bicubic,
            flip_left_right: 0.5,
            flip_up_down: 0.0,
            rotation: Rotation::None,
            color_jitter: Some(ColorJitter::default()),
            grayscale: 0.2,
            blur: Some(GaussianBlur::default()),
        }
    }

    /// SimCLR's (v1) training views: as v2, but with TF1's legacy bicubic and added
    /// instead of multiplied brightness.
    pub fn simclr_v1(size: usize) -> Self {
        Self {
            resampling: Resampling::BicubicLegacy,
            color_jitter: Some(ColorJitter {
                brightness: BrightnessModel::Add,
                ..ColorJitter::default()
            }),
            ..Self::simclr_v2(size)
        }
    }

    /// The geology paper's training views: the image is squashed to the square
    /// first, jitter has strength 0.5, and there is no blur.
    pub fn paper(size: usize) -> Self {
        Self::simclr_v2(size)
            .squash_first()
            .color_jitter_strength(0.5)
            .without_blur()
    }

    /// The original's `preprocess_for_eval`: centre crop of 87.5 %, TF2 bicubic.
    /// With [`Self::squash_first`] it is what the paper's pretraining evaluates on.
    pub fn evaluation(size: usize) -> Self {
        Self {
            crop: Crop::Center {
                proportion: CENTER_CROP_PROPORTION,
            },
            flip_left_right: 0.0,
            color_jitter: None,
            grayscale: 0.0,
            blur: None,
            ..Self::simclr_v2(size)
        }
    }

    /// What the paper's linear probe sees: squashed to the square (bilinear), then
    /// the centre crop of 87.5 % with TF1's legacy bicubic.
    pub fn probe(size: usize) -> Self {
        Self {
            resampling: Resampling::BicubicLegacy,
            ..Self::evaluation(size).squash_first()
        }
    }

    /// Squashes the whole image to the view's size before anything else, as the
    /// paper's `parse_images`.
    pub fn squash_first(self) -> Self {
        Self {
            squash: Some(self.size),
            ..self
        }
    }

    /// Sets the strength of the colour jitter, switching it on if it was off.
    pub fn color_jitter_strength(self, strength: f64) -> Self {
        Self {
            color_jitter: Some(ColorJitter {
                strength,
                ..self.color_jitter.unwrap_or_default()
            }),
            ..self
        }
    }

    /// Leaves the colour jitter out.
    pub fn without_color_jitter(self) -> Self {
        Self {
            color_jitter: None,
            ..self
        }
    }

    /// Leaves the blur out.
    pub fn without_blur(self) -> Self {
        Self { blur: None, ..self }
    }

    /// Sets the probability of an up-down flip.
    pub fn with_up_down_flip(self, probability: f64) -> Self {
        Self {
            flip_up_down: probability,
            ..self
        }
    }

    /// Rotates by random quarter turns.
    pub fn with_quarter_turns(self) -> Self {
        Self {
            rotation: Rotation::QuarterTurns,
            ..self
        }
    }

    /// Rotates by a random angle of at most `degrees` to either side.
    pub fn with_rotation(self, degrees: f64, border: Border) -> Self {
        Self {
            rotation: Rotation::Within { degrees, border },
            ..self
        }
    }

    /// Up-down flips and quarter turns, for images that have no up, such as thin
    /// sections.
    pub fn with_rock_symmetries(self) -> Self {
        self.with_up_down_flip(0.5).with_quarter_turns()
    }

    /// Checks every part.
    ///
    /// # Errors
    /// Names the first value that is out of range.
    pub fn validate(&self) -> Result<()> {
        const OP: &str = "policy";
        value_count(OP, self.size.0, self.size.1, CHANNELS)?;
        if let Some((height, width)) = self.squash {
            value_count("squash", height, width, CHANNELS)?;
        }
        match self.crop {
            Crop::Whole => {}
            Crop::Random(crop) => crop.validate()?,
            Crop::Center { proportion } if proportion > 0.0 && proportion <= 1.0 => {}
            Crop::Center { proportion } => {
                let expected = "within (0, 1]";
                return Err(Error::parameter(
                    "centre crop",
                    "proportion",
                    expected,
                    proportion,
                ));
            }
        }
        check_probability("left-right flip", self.flip_left_right)?;
        check_probability("up-down flip", self.flip_up_down)?;
        check_probability("greyscale", self.grayscale)?;
        self.rotation.validate()?;
        if self.rotation == Rotation::QuarterTurns && self.size.0 != self.size.1 {
            let size = format!("{} x {}", self.size.0, self.size.1);
            return Err(Error::parameter("quarter turns", "size", "square", size));
        }
        self.color_jitter
            .map_or(Ok(()), |jitter| jitter.validate())?;
        self.blur.map_or(Ok(()), |blur| blur.validate())
    }

    /// Decides everything random about one view of an image of `height` x `width`.
    ///
    /// # Errors
    /// If the policy is invalid, or the image too small for its centre crop.
    pub fn plan(&self, height: usize, width: usize, stream: Stream) -> Result<Plan> {
        self.validate()?;
        value_count("policy", height, width, CHANNELS)?;
        let (height, width) = self.squash.unwrap_or((height, width));
        let flips = |probability, purpose| happens(probability, &mut stream.rng(purpose));
        Ok(Plan {
            size: self.size,
            squash: self.squash,
            window: self.window(height, width, stream)?,
            resampling: self.resampling,
            flip_left_right: flips(self.flip_left_right, Purpose::FlipLeftRight),
            flip_up_down: flips(self.flip_up_down, Purpose::FlipUpDown),
            rotation: self.rotation.sample(&mut stream.rng(Purpose::Rotation))?,
            color_jitter: match self.color_jitter {
                Some(jitter) => jitter.sample(&mut stream.rng(Purpose::ColorJitter))?,
                None => None,
            },
            grayscale: flips(self.grayscale, Purpose::Grayscale),
            blur: match self.blur {
                Some(blur) => blur.sample(self.size.0, &mut stream.rng(Purpose::Blur))?,
                None => None,
            },
        })
    }

    fn window(&self, height: usize, width: usize, stream: Stream) -> Result<CropBox> {
        match self.crop {
            Crop::Whole => Ok(CropBox::whole(height, width)),
            Crop::Random(crop) => {
                crop.sample((height, width), self.size, &mut stream.rng(Purpose::Crop))
            }
            Crop::Center { proportion } => center_crop_box((height, width), self.size, proportion),
        }
    }

    /// One view of an image, decoded or in `f32`.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn apply(&self, source: &impl Pixels, stream: Stream) -> Result<Image> {
        self.plan(source.height(), source.width(), stream)?
            .apply(source)
    }

    /// [`Self::apply`] into a slice of `height * width * 3` values, such as an
    /// image's place in a batch.
    ///
    /// # Errors
    /// As [`Self::plan`], and if the slice has another length.
    pub fn apply_into(
        &self,
        source: &impl Pixels,
        stream: Stream,
        output: &mut [f32],
    ) -> Result<()> {
        self.plan(source.height(), source.width(), stream)?
            .apply_into(source, output)
    }

    /// Several views of one image, view i into `outputs[i]`; `stream`'s own view is
    /// ignored. The squash is done once for all.
    ///
    /// # Errors
    /// As [`Self::apply_into`].
    pub fn views_into<P: Pixels>(
        &self,
        source: &P,
        stream: Stream,
        outputs: &mut [&mut [f32]],
    ) -> Result<()> {
        let squashed = self.squash(source)?;
        for (index, output) in (0..).zip(outputs) {
            let stream = stream.view(View::Index(index));
            match &squashed {
                Some(image) => self.apply_into(image, stream, output)?,
                None => self.apply_into(source, stream, output)?,
            }
        }
        Ok(())
    }

    /// The part of the policy that does not depend on chance, for a caller who
    /// wants to keep its result: the squashed image, or `None` where there is
    /// nothing to squash. Applying the policy to the squashed image gives the same
    /// views as applying it to the image itself.
    ///
    /// # Errors
    /// If the policy is invalid.
    pub fn squash(&self, source: &impl Pixels) -> Result<Option<Image>> {
        self.validate()?;
        squash(self.squash, source)
    }
}

/// Resizes to the size asked for, unless the image has it already.
fn squash(size: Option<(usize, usize)>, source: &impl Pixels) -> Result<Option<Image>> {
    match size {
        Some((height, width)) if (source.height(), source.width()) != (height, width) => {
            resize(source, height, width, Resampling::Bilinear).map(Some)
        }
        _ => Ok(None),
    }
}
