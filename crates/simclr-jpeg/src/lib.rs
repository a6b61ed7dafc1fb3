//! JPEG decoding with the exact bytes of TensorFlow's `tf.image.decode_jpeg`.
//!
//! TensorFlow uses libjpeg-turbo with its *fast* integer inverse DCT (which differs from
//! the accurate one by one level on average and by up to a dozen at sharp edges) and
//! with triangle-filtered ("fancy") chroma upsampling. A network that was trained on
//! such images sees slightly different ones through another decoder. This decoder
//! follows that arithmetic bit for bit, without libjpeg.
//!
//! Baseline and progressive files are decoded, Huffman-coded, with 8 bits per sample,
//! in grey, YCbCr or RGB. Rarer kinds (CMYK, arithmetic coding, 12 bits, fractional
//! chroma sampling) are reported as [`Error::Unsupported`], so that the caller can fall
//! back to another decoder. Any input is safe: damaged files give an [`Error`], and no
//! memory is reserved for more pixels than the file can hold.
//!
//! ```
//! # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/rgb420.jpg");
//! let image = simclr_jpeg::decode(&std::fs::read(file)?)?;
//! assert_eq!((image.height, image.width), (66, 80));
//! assert_eq!(image.pixels.len(), 66 * 80 * 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(missing_debug_implementations)]

mod assemble;
mod baseline;
mod bits;
mod coefficients;
mod color;
mod error;
mod frame;
mod huffman;
mod scan;
mod segments;
mod transform;
mod upsample;

pub use assemble::Decoded;
pub use error::{Error, Result};
pub use segments::is_complete;

/// Decodes a whole JPEG file.
///
/// # Errors
/// [`Error::Unsupported`] for a rare kind of JPEG, [`Error::Damaged`] for a file that is
/// truncated or breaks the format's rules.
pub fn decode(bytes: &[u8]) -> Result<Decoded> {
    segments::decode(bytes)
}
