use std::borrow::Cow;

use crate::error::{Error, Result, check};

/// Values per pixel: red, green, blue.
pub const CHANNELS: usize = 3;

/// What one step of a decoded value means: `f32(1 / 255)`, by which the original
/// multiplies (dividing by 255 gives another last bit for 126 of 256 values).
pub(crate) const U8_STEP: f32 = 1.0 / 255.0;

/// An RGB image: rows of pixels of three channels (HWC), values of type `T`.
///
/// Used by the names [`Image`] and [`DecodedImage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageBuffer<T> {
    height: usize,
    width: usize,
    data: Vec<T>,
}

/// An RGB image of `f32`.
///
/// Values are meant to lie in [0, 1]; single operations may leave that range, as
/// they do in the original, and a whole [`Policy`](crate::Policy) returns to it.
pub type Image = ImageBuffer<f32>;

/// An RGB image of `u8` as a decoder delivers it.
///
/// Keeping images in this form takes a quarter of the memory, and
/// a [`Policy`](crate::Policy) crops and resizes straight from it.
pub type DecodedImage = ImageBuffer<u8>;

/// The number of values of an image, if such an image is possible.
pub(crate) fn value_count(
    name: &'static str,
    height: usize,
    width: usize,
    channels: usize,
) -> Result<usize> {
    let count = height
        .checked_mul(width)
        .and_then(|pixels| pixels.checked_mul(channels))
        // Allocations are limited to `isize::MAX` bytes.
        .filter(|&values| values > 0 && values <= isize::MAX as usize / size_of::<f32>());
    let expected = "at least 1 x 1 pixel and fit in memory";
    let found = format_args!("{height} x {width}");
    check(count.is_some(), name, expected, found)?;
    Ok(count.unwrap_or_default())
}

/// The most pixels of a view, and of the image that it is cut out of if that is squashed: those of
/// 8192 x 8192, which take 805 MB.
pub const MAX_VIEW_PIXELS: usize = 1 << 26;

/// Fails unless views can have this size.
pub(crate) fn check_view_size(name: &'static str, (height, width): (usize, usize)) -> Result<()> {
    let is_possible = height.saturating_mul(width) <= MAX_VIEW_PIXELS;
    let expected = "at most 67108864 pixels (8192 x 8192)";
    check(
        is_possible,
        name,
        expected,
        format_args!("{height} x {width}"),
    )?;
    value_count(name, height, width, CHANNELS).map(|_| ())
}

/// Room for so many values, or an error where the memory has none.
fn with_room<T>(height: usize, width: usize, values: usize) -> Result<Vec<T>> {
    let mut data = Vec::new();
    let is_there = data.try_reserve_exact(values).is_ok();
    let found = format_args!("{height} x {width}");
    check(
        is_there,
        "the image size",
        "such that it fits in memory",
        found,
    )?;
    Ok(data)
}

/// Fails unless `found` values make up an image.
pub(crate) fn check_value_count(
    height: usize,
    width: usize,
    channels: usize,
    found: usize,
) -> Result<()> {
    let expected = value_count("the image size", height, width, channels)?;
    if found == expected {
        return Ok(());
    }
    Err(Error::ValueCount {
        height,
        width,
        channels,
        expected,
        found,
    })
}

impl<T: Copy> ImageBuffer<T> {
    /// An image from its values, row by row, three per pixel.
    ///
    /// # Errors
    /// If a side is 0 or `data` does not hold `height * width * 3` values.
    pub fn new(height: usize, width: usize, data: Vec<T>) -> Result<Self> {
        check_value_count(height, width, CHANNELS, data.len())?;
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
    pub fn filled(height: usize, width: usize, color: [T; CHANNELS]) -> Result<Self> {
        let values = value_count("the image size", height, width, CHANNELS)?;
        let mut data = with_room(height, width, values)?;
        data.extend(std::iter::repeat_n(color, values / CHANNELS).flatten());
        Self::new(height, width, data)
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
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// All values, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// The values without the image around them.
    pub fn into_data(self) -> Vec<T> {
        self.data
    }

    /// One pixel, or `None` outside the image.
    pub fn pixel(&self, row: usize, column: usize) -> Option<[T; CHANNELS]> {
        let inside = row < self.height && column < self.width;
        inside.then(|| self.pixels()[row * self.width + column])
    }

    /// All pixels, row by row.
    pub(crate) fn pixels(&self) -> &[[T; CHANNELS]] {
        self.data.as_chunks().0
    }

    /// All pixels, to be changed in place.
    pub(crate) fn pixels_mut(&mut self) -> &mut [[T; CHANNELS]] {
        self.data.as_chunks_mut().0
    }

    fn map<U>(&self, value: impl Fn(T) -> U) -> ImageBuffer<U> {
        ImageBuffer {
            height: self.height,
            width: self.width,
            data: self.data.iter().map(|&stored| value(stored)).collect(),
        }
    }
}

impl Image {
    /// An image of zeros; for operations that overwrite every value.
    pub(crate) fn zeros(height: usize, width: usize) -> Result<Self> {
        let values = value_count("the image size", height, width, CHANNELS)?;
        let mut data = with_room(height, width, values)?;
        data.resize(values, 0.0);
        Self::new(height, width, data)
    }

    /// The nearest `u8` image, values outside [0, 1] clipped; for saving as a file.
    pub fn to_decoded(&self) -> DecodedImage {
        // The cast saturates, so no clip is needed before it.
        self.map(|value| (value * 255.0).round() as u8)
    }
}

impl DecodedImage {
    /// A grey image, its only channel repeated three times as
    /// `decode_jpeg(channels=3)` does.
    ///
    /// # Errors
    /// If a side is 0 or `data` does not hold `height * width` values.
    pub fn from_gray(height: usize, width: usize, data: &[u8]) -> Result<Self> {
        check_value_count(height, width, 1, data.len())?;
        let pixels: Vec<_> = data.iter().map(|&value| [value; CHANNELS]).collect();
        Self::new(height, width, pixels.into_flattened())
    }

    /// The same image in `f32`: `value * f32(1 / 255)`, as
    /// `tf.image.convert_image_dtype`.
    pub fn to_image(&self) -> Image {
        self.map(|value| f32::from(value) * U8_STEP)
    }
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

#[cfg(test)]
impl<T: Copy> ImageBuffer<T> {
    /// The image whose value number i is `value(i)`.
    pub(crate) fn from_fn(height: usize, width: usize, value: impl Fn(usize) -> T) -> Self {
        let count = height * width * CHANNELS;
        Self::new(height, width, (0..count).map(value).collect()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_number_of_values_is_refused() {
        let error = Image::new(2, 3, vec![0.0; 17]).unwrap_err();
        let expected = "an image of 2 x 3 pixels needs 18 values (3 per pixel), found 17";
        assert_eq!(error.to_string(), expected);
        assert!(DecodedImage::new(0, 3, vec![]).is_err());
        assert!(Image::filled(usize::MAX, 3, [0.0; 3]).is_err());
        // Possible numbers, but not the memory for them.
        for error in [
            Image::zeros(1 << 30, 1 << 28).unwrap_err(),
            DecodedImage::filled(1 << 30, 1 << 28, [0; 3]).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(
                text.contains("such that it fits in memory, found 1073741824 x"),
                "{text}"
            );
        }
    }

    #[test]
    fn bytes_are_multiplied_not_divided() {
        let grays: Vec<u8> = (0..=255).collect();
        let image = DecodedImage::from_gray(1, 256, &grays).unwrap().to_image();
        let differs = |&v: &usize| image.pixel(0, v).unwrap()[0] != v as f32 / 255.0;
        assert_eq!((0..256).filter(differs).count(), 126);
        assert_eq!(image.to_decoded().to_image(), image);
        assert_eq!(image.pixel(0, 256), None);
    }
}
