use simclr_augment::DecodedImage;

use super::options::DecodeOptions;

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
    pub(super) orientation: fn(&[u8]) -> Option<u8>,
}
