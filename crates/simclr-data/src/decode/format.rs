use simclr_augment::{DecodedImage, RowSink};

use super::content::Content;
use super::options::DecodeOptions;

/// Reads the rows of a picture from the top; the error is a reason to be shown after the file's name.
pub(super) type ReadRows = fn(Content<'_>, &DecodeOptions, &mut dyn RowSink) -> Result<(), String>;

/// How files of one format are recognised and decoded.
pub(super) struct Format {
    /// Its name in messages.
    pub(super) name: &'static str,
    /// The endings of its files' names, in lower case.
    pub(super) extensions: &'static [&'static str],
    /// Whether a file's content begins as files of this format do.
    pub(super) recognizes: fn(&[u8]) -> bool,
    /// Decodes a file's content; the error is a reason to be shown after the file's name.
    pub(super) decode: fn(&[u8], &DecodeOptions) -> Result<DecodedImage, String>,
    /// How a file asks to turn its picture, as EXIF numbers it; found near its beginning.
    pub(super) orientation: fn(Content<'_>) -> Option<u8>,
    /// Reads the rows that `decode` gives, where that takes less memory.
    pub(super) read_rows: Option<ReadRows>,
}
