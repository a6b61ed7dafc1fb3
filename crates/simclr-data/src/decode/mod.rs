//! Image files to pixels, a file per format.

#[cfg(feature = "bmp")]
mod bmp;
#[cfg(feature = "jpeg2000")]
mod codestream;
#[cfg(feature = "tiff")]
mod collector;
mod content;
mod file;
mod format;
mod guard;
#[cfg(any(feature = "bmp", feature = "webp"))]
mod image_crate;
mod jpeg;
#[cfg(feature = "jpeg2000")]
mod jpeg2000;
mod memory;
mod options;
mod orientation;
mod other_kinds;
#[cfg(feature = "png")]
mod png;
mod row_reader;
mod table;
#[cfg(feature = "tiff")]
mod tiff;
#[cfg(feature = "webp")]
mod webp;

pub(crate) use file::{asks_to_be_turned, read_file};
pub use file::{decode_bytes, decode_bytes_with, decode_file, decode_file_with};
pub(crate) use guard::panic_message;
pub(crate) use memory::hold_memory;
pub use options::DecodeOptions;
pub use row_reader::RowReader;
pub(crate) use table::{has_image_extension, readable_formats};
