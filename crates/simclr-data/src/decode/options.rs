use serde::{Deserialize, Serialize};

use super::memory::reserve_memory;
use crate::error::{Result, check};
use crate::setters::setters;

/// How image files are decoded.
///
/// ```
/// use simclr_data::DecodeOptions;
///
/// let options = DecodeOptions::default();
/// assert_eq!(options.max_pixels, 512_000_000);
/// assert!(!options.apply_orientation);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DecodeOptions {
    /// The most pixels that a picture may have, height times width (default: 512,000,000).
    /// Larger ones are refused before memory is reserved for them.
    pub max_pixels: u64,
    /// Whether a picture is turned as its file asks: by the orientation of EXIF, or by that of
    /// TIFF (default: no, as TensorFlow).
    pub apply_orientation: bool,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self {
            max_pixels: 512_000_000,
            apply_orientation: false,
        }
    }
}

impl DecodeOptions {
    setters! {
        with_max_pixels(max_pixels: u64);
        with_apply_orientation(apply_orientation: bool);
    }

    /// Fails unless the options are valid.
    ///
    /// # Errors
    /// If no picture may have a pixel.
    pub fn validate(&self) -> Result<()> {
        check(
            self.max_pixels > 0,
            "max_pixels",
            "at least 1",
            self.max_pixels,
        )
    }

    /// Fails if a picture of this size is larger than allowed, and waits until there is memory
    /// for it.
    pub(super) fn admit(&self, width: usize, height: usize) -> Result<(), String> {
        let pixels = width as u128 * height as u128;
        if pixels > u128::from(self.max_pixels) {
            return Err(format!(
                "the picture is too large: {width} x {height} are {pixels} pixels, and the limit \
                 (max_pixels) is {}",
                self.max_pixels
            ));
        }
        reserve_memory(pixels as u64);
        Ok(())
    }
}
