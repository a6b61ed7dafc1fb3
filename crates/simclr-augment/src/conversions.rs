//! Conversions from and to the types of the crate `image`.

use image::{Rgb32FImage, RgbImage};

use crate::error::{Error, Result, check};
use crate::image::{DecodedImage, Image};

impl TryFrom<RgbImage> for DecodedImage {
    type Error = Error;

    /// Takes the pixels over without a copy.
    ///
    /// # Errors
    /// If the image has no pixels.
    fn try_from(image: RgbImage) -> Result<Self> {
        let (width, height) = image.dimensions();
        Self::new(height as usize, width as usize, image.into_raw())
    }
}

impl TryFrom<Rgb32FImage> for Image {
    type Error = Error;

    /// Takes the pixels over without a copy.
    ///
    /// # Errors
    /// If the image has no pixels.
    fn try_from(image: Rgb32FImage) -> Result<Self> {
        let (width, height) = image.dimensions();
        Self::new(height as usize, width as usize, image.into_raw())
    }
}

impl TryFrom<DecodedImage> for RgbImage {
    type Error = Error;

    /// Takes the pixels over without a copy.
    ///
    /// # Errors
    /// If a side exceeds `u32`.
    fn try_from(image: DecodedImage) -> Result<Self> {
        let (width, height) = dimensions(image.width(), image.height())?;
        Ok(Self::from_raw(width, height, image.into_data()).unwrap_or_default())
    }
}

impl TryFrom<Image> for Rgb32FImage {
    type Error = Error;

    /// Takes the pixels over without a copy.
    ///
    /// # Errors
    /// If a side exceeds `u32`.
    fn try_from(image: Image) -> Result<Self> {
        let (width, height) = dimensions(image.width(), image.height())?;
        Ok(Self::from_raw(width, height, image.into_data()).unwrap_or_default())
    }
}

fn dimensions(width: usize, height: usize) -> Result<(u32, u32)> {
    let found = format_args!("{height} x {width}");
    let sides = u32::try_from(width).ok().zip(u32::try_from(height).ok());
    check(
        sides.is_some(),
        "the image size",
        "at most 4294967295 along each side",
        found,
    )?;
    Ok(sides.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_back_as_they_were() {
        let pixels: Vec<u8> = (0..2 * 3 * 3).collect();
        let decoded = DecodedImage::new(2, 3, pixels).unwrap();
        let converted = RgbImage::try_from(decoded.clone()).unwrap();
        assert_eq!((converted.height(), converted.width()), (2, 3));
        assert_eq!(converted.get_pixel(2, 1).0, decoded.pixel(1, 2).unwrap());
        assert_eq!(DecodedImage::try_from(converted).unwrap(), decoded);
        let float = decoded.to_image();
        let converted = Rgb32FImage::try_from(float.clone()).unwrap();
        assert_eq!(Image::try_from(converted).unwrap(), float);
        assert!(DecodedImage::try_from(RgbImage::new(0, 3)).is_err());
    }
}
