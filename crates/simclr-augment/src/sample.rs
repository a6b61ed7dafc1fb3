use crate::image::{CHANNELS, ImageBuffer, SourceImage, U8_STEP};
use crate::simd::{Level, split};

/// Types of values of an [`ImageBuffer`] that a crop is resized from: `f32` and `u8`. The trait is
/// closed.
#[allow(private_bounds)]
pub trait Sample: Stored {}

impl Sample for f32 {}
impl Sample for u8 {}

/// Tells the type of stored values.
pub(crate) trait Stored: Copy {
    fn samples(values: &[Self]) -> Samples<'_>;
}

impl Stored for f32 {
    fn samples(values: &[f32]) -> Samples<'_> {
        Samples::Float(values)
    }
}

impl Stored for u8 {
    fn samples(values: &[u8]) -> Samples<'_> {
        Samples::Bytes(values)
    }
}

/// Values of an image, of either type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Samples<'a> {
    Float(&'a [f32]),
    Bytes(&'a [u8]),
}

/// An image whose values are of either type. What is computed from it is compiled in this crate, and
/// not in those that call a function of [`Sample`] with less optimization.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) samples: Samples<'a>,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl<'a, S: Sample> From<&'a ImageBuffer<S>> for Source<'a> {
    fn from(image: &'a ImageBuffer<S>) -> Self {
        Self {
            samples: S::samples(image.data()),
            height: image.height(),
            width: image.width(),
        }
    }
}

impl<'a> From<&'a SourceImage> for Source<'a> {
    fn from(image: &'a SourceImage) -> Self {
        match image {
            SourceImage::Decoded(image) => image.into(),
            SourceImage::Float(image) => image.into(),
        }
    }
}

impl Samples<'_> {
    /// What one step of a stored number means.
    pub(crate) fn step(self) -> f32 {
        match self {
            Self::Float(_) => 1.0,
            Self::Bytes(_) => U8_STEP,
        }
    }

    /// The pixels of `count` values from `start` on as stored numbers, a plane for each channel.
    #[inline(always)]
    pub(crate) fn split<L: Level>(
        self,
        level: L,
        start: usize,
        count: usize,
        planes: [&mut [f32]; CHANNELS],
    ) {
        match self {
            Self::Float(values) => split(values[start..start + count].as_chunks().0, planes),
            Self::Bytes(values) => {
                level.split_bytes(values[start..start + count].as_chunks().0, planes);
            }
        }
    }
}
