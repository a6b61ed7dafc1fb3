#![doc = include_str!("../README.md")]
#![warn(missing_debug_implementations)]

mod arithmetic;
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
mod tables;
mod transform;
mod upsample;

pub use assemble::Decoded;
pub use error::{Error, Result};
pub use segments::{Components, decode, decode_embedded, decode_rows, dimensions, is_complete};
