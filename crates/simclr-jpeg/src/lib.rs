#![doc = include_str!("../README.md")]
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
