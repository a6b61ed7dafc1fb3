use image::{Pixel, Rgb};

use crate::error::{Error, Result, check};
use crate::image::ImageBuffer;

/// An RGB image of the crate `image`.
type Picture<T> = image::ImageBuffer<Rgb<T>, Vec<T>>;

impl<T: Copy> TryFrom<Picture<T>> for ImageBuffer<T>
where
    Rgb<T>: Pixel<Subpixel = T>,
{
    type Error = Error;

    /// Takes the pixels over without a copy.
    ///
    /// # Errors
    /// If the image has no pixels.
    fn try_from(image: Picture<T>) -> Result<Self> {
        let (width, height) = image.dimensions();
        Self::new(height as usize, width as usize, image.into_raw())
    }
}

impl<T: Copy> TryFrom<ImageBuffer<T>> for Picture<T>
where
    Rgb<T>: Pixel<Subpixel = T>,
{
    type Error = Error;

    /// Takes the pixels over without a copy.
    ///
    /// # Errors
    /// If a side exceeds `u32`.
    fn try_from(image: ImageBuffer<T>) -> Result<Self> {
        let (height, width) = (image.height(), image.width());
        let found = format_args!("{height} x {width}");
        let sides = u32::try_from(width).ok().zip(u32::try_from(height).ok());
        let expected = "at most 4294967295 along each side";
        check(sides.is_some(), "the image size", expected, found)?;
        let (width, height) = sides.unwrap_or_default();
        Ok(Self::from_raw(width, height, image.into_data()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb32FImage, RgbImage};

    use crate::image::{DecodedImage, Image};

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
