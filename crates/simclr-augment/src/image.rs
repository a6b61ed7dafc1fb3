//! Images in memory: as computed with (`f32`) and as decoded (`u8`).

use std::borrow::Cow;

use crate::{Error, Result};

/// Values per pixel: red, green, blue.
pub const CHANNELS: usize = 3;

/// What one step of a decoded value means: `f32(1 / 255)`, by which the original
/// multiplies (dividing by 255 gives another last bit for 126 of 256 values).
pub(crate) const U8_STEP: f32 = 1.0 / 255.0;

/// An RGB image of `f32`, rows of pixels of three channels (HWC).
///
/// Values are meant to lie in [0, 1]; single operations may leave that range, as
/// they do in the original, and a whole [`Policy`](crate::Policy) returns to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    height: usize,
    width: usize,
    data: Vec<f32>,
}

/// An RGB image of `u8` as a decoder delivers it, rows of pixels of three channels.
///
/// Keeping images in this form takes a quarter of the memory, and
/// a [`Policy`](crate::Policy) crops and resizes straight from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedImage {
    height: usize,
    width: usize,
    data: Vec<u8>,
}

/// An image that views are made of: as decoded, or as numbers after work that was done
/// before ([`Augmentation::prepare`](crate::Augmentation::prepare)).
#[derive(Debug, Clone, PartialEq)]
pub enum SourceImage {
    /// As it came out of a decoder.
    Decoded(DecodedImage),
    /// In `f32`.
    Float(Image),
}

impl SourceImage {
    /// Rows.
    pub fn height(&self) -> usize {
        match self {
            Self::Decoded(image) => image.height,
            Self::Float(image) => image.height,
        }
    }

    /// Columns.
    pub fn width(&self) -> usize {
        match self {
            Self::Decoded(image) => image.width,
            Self::Float(image) => image.width,
        }
    }

    /// Bytes of memory that the pixels take.
    pub fn byte_size(&self) -> usize {
        match self {
            Self::Decoded(image) => size_of_val(image.data()),
            Self::Float(image) => size_of_val(image.data()),
        }
    }

    /// The image in `f32`, values in [0, 1].
    pub fn to_image(&self) -> Cow<'_, Image> {
        match self {
            Self::Decoded(image) => Cow::Owned(image.to_image()),
            Self::Float(image) => Cow::Borrowed(image),
        }
    }
}

impl From<DecodedImage> for SourceImage {
    fn from(image: DecodedImage) -> Self {
        Self::Decoded(image)
    }
}

impl From<Image> for SourceImage {
    fn from(image: Image) -> Self {
        Self::Float(image)
    }
}

/// The number of values of an image, if such an image is possible.
pub(crate) fn value_count(
    op: &'static str,
    height: usize,
    width: usize,
    channels: usize,
) -> Result<usize> {
    height
        .checked_mul(width)
        .and_then(|pixels| pixels.checked_mul(channels))
        // Allocations are limited to `isize::MAX` bytes.
        .filter(|&values| values > 0 && values <= isize::MAX as usize / size_of::<f32>())
        .ok_or(Error::Dimensions { op, height, width })
}

/// Fails unless `got` values make up an image.
pub(crate) fn check_value_count(
    op: &'static str,
    height: usize,
    width: usize,
    channels: usize,
    got: usize,
) -> Result<()> {
    let expected = value_count(op, height, width, channels)?;
    if got == expected {
        return Ok(());
    }
    Err(Error::ValueCount {
        op,
        height,
        width,
        channels,
        expected,
        got,
    })
}

impl Image {
    /// An image from its values, row by row, three per pixel.
    ///
    /// # Errors
    /// If a side is 0 or `data` does not hold `height * width * 3` values.
    pub fn new(height: usize, width: usize, data: Vec<f32>) -> Result<Self> {
        check_value_count("Image::new", height, width, CHANNELS, data.len())?;
        Ok(Self {
            height,
            width,
            data,
        })
    }

    /// An image of one colour.
    ///
    /// # Errors
    /// If a side is 0 or the image cannot fit in memory.
    pub fn filled(height: usize, width: usize, color: [f32; CHANNELS]) -> Result<Self> {
        let values = value_count("Image::filled", height, width, CHANNELS)?;
        Ok(Self {
            height,
            width,
            data: color.iter().copied().cycle().take(values).collect(),
        })
    }

    /// An image of zeros; for operations that overwrite every value.
    pub(crate) fn zeros(op: &'static str, height: usize, width: usize) -> Result<Self> {
        let values = value_count(op, height, width, CHANNELS)?;
        Ok(Self {
            height,
            width,
            data: vec![0.0; values],
        })
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All values, row by row.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// All values, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The values without the image around them.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }

    /// One pixel, or `None` outside the image.
    pub fn pixel(&self, row: usize, column: usize) -> Option<[f32; CHANNELS]> {
        if row >= self.height || column >= self.width {
            return None;
        }
        let start = (row * self.width + column) * CHANNELS;
        self.data.get(start..start + CHANNELS)?.try_into().ok()
    }

    /// The nearest `u8` image, values outside [0, 1] clipped; for saving as a file.
    pub fn to_decoded(&self) -> DecodedImage {
        DecodedImage {
            height: self.height,
            width: self.width,
            // The cast saturates, so no clip is needed before it.
            data: self
                .data
                .iter()
                .map(|v| (v * 255.0).round() as u8)
                .collect(),
        }
    }
}

impl DecodedImage {
    /// An image from its values, row by row, three per pixel.
    ///
    /// # Errors
    /// If a side is 0 or `data` does not hold `height * width * 3` values.
    pub fn new(height: usize, width: usize, data: Vec<u8>) -> Result<Self> {
        check_value_count("DecodedImage::new", height, width, CHANNELS, data.len())?;
        Ok(Self {
            height,
            width,
            data,
        })
    }

    /// A grey image, its only channel repeated three times as
    /// `decode_jpeg(channels=3)` does.
    ///
    /// # Errors
    /// If a side is 0 or `data` does not hold `height * width` values.
    pub fn from_gray(height: usize, width: usize, data: &[u8]) -> Result<Self> {
        check_value_count("DecodedImage::from_gray", height, width, 1, data.len())?;
        let values = value_count("DecodedImage::from_gray", height, width, CHANNELS)?;
        let mut pixels = vec![0; values];
        for (pixel, &value) in pixels.as_chunks_mut::<CHANNELS>().0.iter_mut().zip(data) {
            *pixel = [value; CHANNELS];
        }
        Self::new(height, width, pixels)
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All values, row by row.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The values without the image around them.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// The same image in `f32`: `value * f32(1 / 255)`, as
    /// `tf.image.convert_image_dtype`.
    pub fn to_image(&self) -> Image {
        Image {
            height: self.height,
            width: self.width,
            data: self.data.iter().map(|&v| f32::from(v) * U8_STEP).collect(),
        }
    }
}

/// Images that an operation can read from: [`Image`] and [`DecodedImage`].
///
/// The trait is closed: it exists so that a crop can be resized straight from
/// decoded bytes.
pub trait Pixels: sealed::Sealed {
    /// Rows.
    fn height(&self) -> usize;
    /// Columns.
    fn width(&self) -> usize;
}

pub(crate) mod sealed {
    use crate::simd::Level;

    /// How stored values become numbers.
    pub(crate) trait Sample: Copy {
        /// What one step means.
        const STEP: f32;
        /// Pixels as stored numbers, a plane for each channel.
        fn split<L: Level>(level: L, pixels: &[[Self; 3]], planes: [&mut [f32]; 3]);
    }

    impl Sample for f32 {
        const STEP: f32 = 1.0;

        #[inline(always)]
        fn split<L: Level>(_: L, pixels: &[[f32; 3]], [red, green, blue]: [&mut [f32]; 3]) {
            let planes = red.iter_mut().zip(green).zip(blue);
            for (&pixel, ((red, green), blue)) in pixels.iter().zip(planes) {
                [*red, *green, *blue] = pixel;
            }
        }
    }

    impl Sample for u8 {
        const STEP: f32 = super::U8_STEP;

        #[inline(always)]
        fn split<L: Level>(level: L, pixels: &[[u8; 3]], planes: [&mut [f32]; 3]) {
            level.split_bytes(pixels, planes);
        }
    }

    /// The part of [`Pixels`](super::Pixels) that stays inside this crate.
    #[allow(private_bounds)]
    pub trait Sealed {
        /// The stored type.
        type Sample: Sample;
        /// All values, row by row.
        fn samples(&self) -> &[Self::Sample];
    }

    impl Sealed for super::Image {
        type Sample = f32;
        fn samples(&self) -> &[f32] {
            &self.data
        }
    }

    impl Sealed for super::DecodedImage {
        type Sample = u8;
        fn samples(&self) -> &[u8] {
            &self.data
        }
    }
}

impl Pixels for Image {
    fn height(&self) -> usize {
        self.height
    }

    fn width(&self) -> usize {
        self.width
    }
}

impl Pixels for DecodedImage {
    fn height(&self) -> usize {
        self.height
    }

    fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_number_of_values_is_refused() {
        let error = Image::new(2, 3, vec![0.0; 17]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Image::new: a 2 x 3 image needs 18 values (3 per pixel), got 17"
        );
        assert!(DecodedImage::new(0, 3, vec![]).is_err());
        assert!(Image::filled(usize::MAX, 3, [0.0; 3]).is_err());
    }

    #[test]
    fn bytes_are_multiplied_not_divided() {
        let image = DecodedImage::from_gray(1, 256, &(0..=255).collect::<Vec<_>>())
            .unwrap()
            .to_image();
        let differing = (0..256)
            .filter(|&v| image.pixel(0, v).unwrap()[0] != v as f32 / 255.0)
            .count();
        assert_eq!(differing, 126);
        assert_eq!(image.to_decoded().to_image(), image);
        assert_eq!(image.pixel(0, 256), None);
    }
}
