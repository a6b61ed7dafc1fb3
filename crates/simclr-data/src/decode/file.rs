use std::fs::File;
use std::path::Path;

use simclr_augment::DecodedImage;

use super::content::Content;
use super::format::Format;
use super::guard::catch_panic;
use super::memory::hold_memory;
use super::options::DecodeOptions;
use super::orientation::turned;
use super::other_kinds::name_of_kind;
use super::table::{FORMATS, readable_formats};
use crate::error::{Error, Result};

/// Reads and decodes an image file: JPEG, and with the features of these names PNG, TIFF
/// (its first page that is no thumbnail), BMP, WebP and JPEG 2000. The format is found out from the
/// content, not from the name.
///
/// Grey becomes three equal channels, of 16 bits the upper eight count, an alpha channel is
/// dropped (not blended), palettes are resolved, and the orientation that a camera noted is not
/// applied: as in the original's `decode_jpeg` and `decode_png`. JPEG files give the bytes that
/// TensorFlow's decoder gives ([`simclr_jpeg`]). What would have to be guessed is refused.
///
/// # Errors
/// If the file cannot be read, is empty, is not an image, or is truncated. The message
/// names the file.
pub fn decode_file(path: impl AsRef<Path>) -> Result<DecodedImage> {
    decode_file_with(path, &DecodeOptions::default())
}

/// [`decode_file`] with other options than the defaults.
///
/// # Errors
/// As [`decode_file`], and if the options are invalid.
pub fn decode_file_with(path: impl AsRef<Path>, options: &DecodeOptions) -> Result<DecodedImage> {
    let path = path.as_ref();
    decode_bytes_with(&path.display().to_string(), &read_file(path)?, options)
}

/// Whether an image file asks to be turned, as far as its beginning says so (TIFF may say it
/// anywhere): what cannot be read does not ask.
pub(crate) fn asks_to_be_turned(path: &Path) -> bool {
    let orientation = || {
        let file = File::open(path).ok()?;
        let content = Content::of_file(&file).ok()?;
        let format = format_of(content).ok()?;
        let length = if format.name == "TIFF" {
            u64::MAX
        } else {
            HEAD
        };
        (format.orientation)(content.part(0, length))
    };
    orientation().is_some_and(|orientation| (2..=8).contains(&orientation))
}

/// The bytes of a file that are read to find its orientation, with all of what is said of a picture
/// before its pixels: in a JPEG file, that is a segment of up to 64 KiB.
const HEAD: u64 = 72 << 10;

/// Reads a file. What is not one, such as a named pipe, is an error: reading it may never end.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    check_regular(path)?;
    std::fs::read(path).map_err(|source| Error::io(path, source))
}

/// Opens a file; one that is not regular is an error.
pub(super) fn open_file(path: &Path) -> Result<File> {
    check_regular(path)?;
    File::open(path).map_err(|source| Error::io(path, source))
}

fn check_regular(path: &Path) -> Result<()> {
    let metadata = std::fs::metadata(path).map_err(|source| Error::io(path, source))?;
    if metadata.is_file() {
        return Ok(());
    }
    Err(Error::unreadable(path.display(), "not a regular file"))
}

/// Decodes the content of an image file; see [`decode_file`]. The `name` is for messages.
///
/// ```
/// let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../simclr-jpeg/tests/data/rgb420.jpg");
/// # if !std::path::Path::new(file).exists() { return Ok(()); }
/// let image = simclr_data::decode_bytes("rgb420.jpg", &std::fs::read(file)?)?;
/// assert_eq!((image.height(), image.width()), (66, 80));
///
/// let error = simclr_data::decode_bytes("notes.txt", b"text").unwrap_err();
/// assert!(error.to_string().starts_with("notes.txt: not an image"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the content is empty, not an image, or truncated. The message names `name`.
pub fn decode_bytes(name: &str, bytes: &[u8]) -> Result<DecodedImage> {
    decode_bytes_with(name, bytes, &DecodeOptions::default())
}

/// [`decode_bytes`] with other options than the defaults.
///
/// # Errors
/// As [`decode_bytes`], and if the options are invalid.
pub fn decode_bytes_with(
    name: &str,
    bytes: &[u8],
    options: &DecodeOptions,
) -> Result<DecodedImage> {
    options.validate()?;
    decode(bytes, options).map_err(|reason| Error::unreadable(name, reason))
}

fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<DecodedImage, String> {
    let content = Content::of_bytes(bytes);
    let format = format_of(content)?;
    let decode = || {
        let image = (format.decode)(bytes, options)?;
        if !options.apply_orientation {
            return Ok(image);
        }
        match (format.orientation)(content) {
            Some(orientation) => turned(image, orientation),
            None => Ok(image),
        }
    };
    hold_memory(|| catch_panic(decode))
}

/// The format that a file's content begins like.
pub(super) fn format_of(content: Content<'_>) -> Result<&'static Format, String> {
    let head = content.part(0, LONGEST_SIGNATURE).bytes()?;
    if head.is_empty() {
        return Err("the file is empty".into());
    }
    let mut formats = FORMATS.iter();
    formats
        .find(|format| (format.recognizes)(&head))
        .ok_or_else(|| {
            let is = name_of_kind(&head).map_or_else(String::new, |name| format!("; it is {name}"));
            format!("not an image that can be read ({}){is}", readable_formats())
        })
}

/// Bytes by which formats are told.
const LONGEST_SIGNATURE: u64 = 16;
