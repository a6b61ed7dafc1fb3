//! Augmentation policies: what happens to an image, as a value.

mod display;

use serde::{Deserialize, Serialize};

use crate::augmentation::Augmentation;
use crate::crop_box::CropBox;
use crate::draw::happens;
use crate::error::{Result, check_probability};
use crate::image::{
    CHANNELS, DecodedImage, Image, ImageBuffer, SourceImage, check_view_size, value_count,
};
use crate::ops::blur::GaussianBlur;
use crate::ops::color::jitter::{BrightnessModel, ColorJitter};
use crate::ops::crop::{RandomCrop, center_crop_box, check_proportion};
use crate::ops::rotate::Rotation;
use crate::ops::taps::Resampling;
use crate::sample::{Sample, Source};
use crate::setters::setters;
use crate::stream::{Purpose, Stream, View};
use crate::view_params::{ViewParams, check_square, squash};

/// Which part of an image a view shows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
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
/// read by `serde`. JSON may leave fields out; they have the values of
/// [`Policy::default`]. What a policy does to one image is fixed by the [`Stream`] given.
///
/// ```
/// use simclr_augment::Policy;
///
/// let policy = Policy::paper(224).with_rock_symmetries();
/// let json = serde_json::to_string(&policy)?;
/// assert_eq!(serde_json::from_str::<Policy>(&json)?, policy);
/// println!("{policy}");
///
/// let partial = r#"{"size": [96, 96], "color_jitter": {"strength": 0.5}, "blur": null}"#;
/// let expected = Policy::simclr_v2(96).with_color_jitter_strength(0.5).without_blur();
/// assert_eq!(serde_json::from_str::<Policy>(partial)?, expected);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Policy {
    /// Height and width of a view, of at most [`MAX_VIEW_PIXELS`](crate::MAX_VIEW_PIXELS).
    /// Default: 224 and 224.
    pub size: (usize, usize),
    /// Height and width to which the whole image is resized (bilinear, aspect
    /// ratio lost) before anything else. Default: none.
    pub squash: Option<(usize, usize)>,
    /// The part that a view shows. Default: a random box.
    pub crop: Crop,
    /// How the crop is resized to `size`. Default: [`Resampling::Bicubic`].
    pub resampling: Resampling,
    /// Probability of a left-right flip. Default: 0.5.
    pub flip_left_right: f64,
    /// Probability of an up-down flip. Default: 0.
    pub flip_up_down: f64,
    /// Rotation. Default: none.
    pub rotation: Rotation,
    /// Colour jitter. Default: [`ColorJitter::default`].
    pub color_jitter: Option<ColorJitter>,
    /// Probability of greyscale. Default: 0.2.
    pub grayscale: f64,
    /// Gaussian blur. Default: [`GaussianBlur::default`].
    pub blur: Option<GaussianBlur>,
}

impl Default for Policy {
    /// [`Policy::simclr_v2`] at 224 pixels.
    fn default() -> Self {
        Self {
            size: (224, 224),
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
}

impl Policy {
    /// SimCLRv2's training views: random crop, TF2 bicubic, left-right flip, colour
    /// jitter of strength 1 with multiplied brightness, greyscale, blur.
    pub fn simclr_v2(size: usize) -> Self {
        Self::default().with_size(size, size)
    }

    /// SimCLR's (v1) training views: as v2, but with TF1's legacy bicubic and added
    /// instead of multiplied brightness.
    pub fn simclr_v1(size: usize) -> Self {
        Self::simclr_v2(size)
            .with_resampling(Resampling::BicubicLegacy)
            .with_color_jitter(ColorJitter::default().with_brightness(BrightnessModel::Add))
    }

    /// The geology paper's training views: the image is squashed to the square
    /// first, jitter has strength 0.5, and there is no blur.
    pub fn paper(size: usize) -> Self {
        Self::simclr_v2(size)
            .squash_first()
            .with_color_jitter_strength(0.5)
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
        Self::evaluation(size)
            .squash_first()
            .with_resampling(Resampling::BicubicLegacy)
    }

    setters! {
        with_crop(crop: Crop);
        with_resampling(resampling: Resampling);
        with_flip_left_right(flip_left_right: f64);
        with_flip_up_down(flip_up_down: f64);
        with_rotation(rotation: Rotation);
        with_color_jitter(color_jitter: ColorJitter);
        with_grayscale(grayscale: f64);
        with_blur(blur: GaussianBlur);
    }

    /// Sets height and width of the views. A policy that squashes squashes to the new size.
    pub fn with_size(mut self, height: usize, width: usize) -> Self {
        self.size = (height, width);
        self.squash = self.squash.map(|_| self.size);
        self
    }

    /// Sets the height and width to which the whole image is squashed first.
    pub fn with_squash(mut self, height: usize, width: usize) -> Self {
        self.squash = Some((height, width));
        self
    }

    /// Squashes the whole image to the view's size before anything else, as the
    /// paper's `parse_images`.
    pub fn squash_first(self) -> Self {
        let (height, width) = self.size;
        self.with_squash(height, width)
    }

    /// Sets the strength of the colour jitter, switching it on if it was off.
    pub fn with_color_jitter_strength(self, strength: f64) -> Self {
        let jitter = self.color_jitter.unwrap_or_default();
        self.with_color_jitter(jitter.with_strength(strength))
    }

    /// Leaves the colour jitter out.
    pub fn without_color_jitter(mut self) -> Self {
        self.color_jitter = None;
        self
    }

    /// Leaves the blur out.
    pub fn without_blur(mut self) -> Self {
        self.blur = None;
        self
    }

    /// Up-down flips and quarter turns, for images that have no up, such as thin
    /// sections.
    pub fn with_rock_symmetries(self) -> Self {
        self.with_flip_up_down(0.5)
            .with_rotation(Rotation::QuarterTurns)
    }

    /// Checks every part.
    ///
    /// # Errors
    /// Names the first value that is out of range.
    pub fn validate(&self) -> Result<()> {
        check_view_size("size", self.size)?;
        if let Some(size) = self.squash {
            check_view_size("squash", size)?;
        }
        match self.crop {
            Crop::Whole => {}
            Crop::Random(crop) => crop.validate()?,
            Crop::Center { proportion } => check_proportion(proportion)?,
        }
        check_probability("flip_left_right", self.flip_left_right)?;
        check_probability("flip_up_down", self.flip_up_down)?;
        check_probability("grayscale", self.grayscale)?;
        self.rotation.validate()?;
        check_square(self.size, self.rotation == Rotation::QuarterTurns)?;
        if let Some(jitter) = self.color_jitter {
            jitter.validate()?;
        }
        self.blur.map_or(Ok(()), |blur| blur.validate())
    }

    /// Draws everything random about one view of an image of `height` x `width`.
    ///
    /// # Errors
    /// If the policy is invalid, or the image too small for its centre crop.
    pub fn sample(&self, height: usize, width: usize, stream: Stream) -> Result<ViewParams> {
        self.validate()?;
        value_count("the image size", height, width, CHANNELS)?;
        let image = self.squash.unwrap_or((height, width));
        let flips = |probability, purpose| happens(probability, &mut stream.rng(purpose));
        Ok(ViewParams {
            size: self.size,
            squash: self.squash,
            crop_box: match self.crop {
                Crop::Whole => CropBox::whole(image.0, image.1),
                Crop::Random(crop) => {
                    crop.sample(image, self.size, &mut stream.rng(Purpose::Crop))?
                }
                Crop::Center { proportion } => center_crop_box(image, self.size, proportion)?,
            },
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

    /// One view of an image, decoded or in `f32`.
    ///
    /// # Errors
    /// As [`Self::sample`].
    pub fn apply<S: Sample>(&self, source: &ImageBuffer<S>, stream: Stream) -> Result<Image> {
        self.sample(source.height(), source.width(), stream)?
            .apply(source)
    }

    /// [`Self::apply`] into a slice of `height * width * 3` values, such as an
    /// image's place in a batch.
    ///
    /// # Errors
    /// As [`Self::sample`], and if the slice has another length.
    pub fn apply_into<S: Sample>(
        &self,
        source: &ImageBuffer<S>,
        stream: Stream,
        output: &mut [f32],
    ) -> Result<()> {
        self.apply_to(source.into(), stream, output)
    }

    /// [`Self::apply_into`] of either type.
    fn apply_to(&self, source: Source<'_>, stream: Stream, output: &mut [f32]) -> Result<()> {
        self.sample(source.height, source.width, stream)?
            .apply_to(source, output)
    }
}

impl Augmentation for Policy {
    fn view_size(&self) -> (usize, usize) {
        self.size
    }

    fn view_into(&self, image: &SourceImage, stream: Stream, output: &mut [f32]) -> Result<()> {
        self.apply_to(image.into(), stream, output)
    }

    fn validate(&self) -> Result<()> {
        Policy::validate(self)
    }

    /// The squashed image, where that takes less memory.
    fn prepare(&self, image: DecodedImage) -> Result<SourceImage> {
        Policy::validate(self)?;
        let squashed_is_smaller = self.squash.is_some_and(|(height, width)| {
            height * width * size_of::<f32>() < image.height() * image.width()
        });
        if squashed_is_smaller && let Some(squashed) = squash(self.squash, (&image).into())? {
            return Ok(squashed.into());
        }
        Ok(image.into())
    }

    /// The squash is computed once for all views.
    fn views_into(
        &self,
        image: &SourceImage,
        stream: Stream,
        outputs: &mut [&mut [f32]],
    ) -> Result<()> {
        Policy::validate(self)?;
        let squashed = squash(self.squash, image.into())?.map(SourceImage::from);
        let image = squashed.as_ref().unwrap_or(image);
        (0..).zip(outputs).try_for_each(|(index, output)| {
            self.view_into(image, stream.view(View::Index(index)), output)
        })
    }
}
