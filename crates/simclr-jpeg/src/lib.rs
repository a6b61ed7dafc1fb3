//! JPEG as TensorFlow decodes it, to the last bit.
//!
//! `tf.image.decode_jpeg` uses libjpeg with its *fast* integer inverse transform
//! (differing from an accurate one by a level on average and by up to a dozen at
//! sharp edges) and with triangle-filtered chroma. A network trained on the one
//! sees slightly other images through the other, so the original's arithmetic is
//! followed here: baseline and progressive files, Huffman-coded, 8 bits, grey,
//! YCbCr or RGB. Anything rarer is reported as unsupported, and left to a decoder
//! that knows it.

mod assemble;
mod baseline;
mod bits;
mod color;
mod frame;
mod header;
mod huffman;
mod scan;
mod transform;
mod upsample;

use simclr_augment::DecodedImage;

/// Why a JPEG file was not decoded.
#[derive(Debug, PartialEq)]
pub(crate) enum JpegError {
    /// A rare kind of JPEG, in words.
    Unsupported(String),
    /// The file breaks the format's rules, in words.
    Damaged(String),
}

fn damaged<T>(reason: impl Into<String>) -> Result<T, JpegError> {
    Err(JpegError::Damaged(reason.into()))
}

fn unsupported<T>(reason: impl Into<String>) -> Result<T, JpegError> {
    Err(JpegError::Unsupported(reason.into()))
}

/// Decodes a whole JPEG file.
pub(crate) fn decode(bytes: &[u8]) -> Result<DecodedImage, JpegError> {
    header::read(bytes)
}
