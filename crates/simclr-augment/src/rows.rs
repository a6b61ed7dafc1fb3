use std::convert::Infallible;

use crate::image::DecodedImage;

/// Takes the rows of a picture one after the other, from the top.
///
/// See [`RowSource`].
pub trait RowSink {
    /// Called once, before any row: how many rows and columns there are.
    fn begin(&mut self, height: usize, width: usize);

    /// One or several whole rows that follow those before: three bytes per pixel.
    fn rows(&mut self, rgb: &[u8]);
}

/// A picture whose rows can be read from the top, as often as needed, and which need not be in
/// memory as a whole.
///
/// ```
/// use simclr_augment::{DecodedImage, RowSink, RowSource};
///
/// /// The brightest byte.
/// struct Brightest(u8);
///
/// impl RowSink for Brightest {
///     fn begin(&mut self, _height: usize, _width: usize) {}
///
///     fn rows(&mut self, rgb: &[u8]) {
///         self.0 = rgb.iter().copied().fold(self.0, u8::max);
///     }
/// }
///
/// let picture = DecodedImage::filled(30, 40, [10, 200, 30])?;
/// let mut brightest = Brightest(0);
/// picture.read_rows(&mut brightest)?;
/// assert_eq!(brightest.0, 200);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait RowSource {
    /// Why a picture cannot be read.
    type Error;

    /// Reads all rows.
    ///
    /// # Errors
    /// If the picture cannot be read to its end. Rows that were given before belong to a
    /// damaged picture.
    fn read_rows(&self, sink: &mut dyn RowSink) -> Result<(), Self::Error>;
}

impl RowSource for DecodedImage {
    type Error = Infallible;

    fn read_rows(&self, sink: &mut dyn RowSink) -> Result<(), Infallible> {
        sink.begin(self.height(), self.width());
        sink.rows(self.data());
        Ok(())
    }
}
