//! The decoded image.

/// A decoded image, 8 bits per channel.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decoded {
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
    /// `height * width * 3` bytes: red, green and blue of each pixel, row by row. Grey
    /// files have three equal channels.
    pub pixels: Vec<u8>,
}

impl std::fmt::Debug for Decoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoded")
            .field("height", &self.height)
            .field("width", &self.width)
            .finish_non_exhaustive()
    }
}
