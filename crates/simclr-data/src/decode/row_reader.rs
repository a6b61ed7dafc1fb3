use std::path::{Path, PathBuf};

use simclr_augment::{DecodedImage, RowSink, RowSource};

use super::content::Content;
use super::file::{decode_file_with, format_of, open_file};
use super::format::ReadRows;
use super::guard::catch_panic;
use super::options::DecodeOptions;
use crate::error::{Error, Result};

/// An image file whose picture is read row by row, as often as needed, and need not fit into
/// memory. The pixels are those of [`decode_file_with`].
///
/// | file | in memory at a time |
/// | --- | --- |
/// | TIFF in strips or in tiles as wide as the picture | some rows (of JPEG inside of it: a strip) |
/// | TIFF in smaller tiles | a row of tiles |
/// | PNG | some rows; if it is interlaced, the picture |
/// | JPEG, sequential in one scan | the file, and some rows |
/// | JPEG, progressive or in several scans | the file, and all coefficients |
/// | other formats; pictures that [`DecodeOptions::apply_orientation`] turns | the picture |
///
/// ```
/// use simclr_data::{DecodeOptions, RowReader, decode_file};
/// use simclr_augment::{RowSink, RowSource};
///
/// /// Counts bytes.
/// struct Count(usize);
///
/// impl RowSink for Count {
///     fn begin(&mut self, height: usize, width: usize) {
///         assert_eq!((height, width), (66, 80));
///     }
///
///     fn rows(&mut self, rgb: &[u8]) {
///         self.0 += rgb.len();
///     }
/// }
///
/// let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../simclr-jpeg/tests/data/rgb420.jpg");
/// # if !std::path::Path::new(file).exists() { return Ok(()); }
/// let mut count = Count(0);
/// RowReader::open(file, &DecodeOptions::default())?.read_rows(&mut count)?;
/// assert_eq!(count.0, decode_file(file)?.data().len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RowReader {
    path: PathBuf,
    options: DecodeOptions,
    picture: Picture,
}

enum Picture {
    /// Read from the file each time.
    InFile(ReadRows),
    InMemory(DecodedImage),
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::InFile(_) => "InFile",
            Self::InMemory(_) => "InMemory",
        })
    }
}

impl RowReader {
    /// Opens an image file, and decodes it if its picture cannot be read row by row.
    ///
    /// # Errors
    /// If the options are invalid, the file cannot be read or is not an image, or as
    /// [`decode_file_with`] if it is decoded.
    pub fn open(path: impl AsRef<Path>, options: &DecodeOptions) -> Result<Self> {
        let path = path.as_ref();
        options.validate()?;
        let file = open_file(path)?;
        let content = Content::of_file(&file).map_err(|source| Error::io(path, source))?;
        let unreadable = |reason| Error::unreadable(path.display(), reason);
        let format = format_of(content).map_err(unreadable)?;
        let is_turned = || matches!((format.orientation)(content), Some(2..=8));
        let picture = match format.read_rows {
            Some(read_rows) if !(options.apply_orientation && is_turned()) => {
                Picture::InFile(read_rows)
            }
            _ => Picture::InMemory(decode_file_with(path, options)?),
        };
        Ok(Self {
            path: path.to_owned(),
            options: *options,
            picture,
        })
    }
}

impl RowSource for RowReader {
    type Error = Error;

    /// Reads all rows.
    ///
    /// # Errors
    /// As [`decode_file_with`]. What was read before belongs to a damaged file.
    fn read_rows(&self, sink: &mut dyn RowSink) -> Result<()> {
        let read_rows = match &self.picture {
            Picture::InFile(read_rows) => read_rows,
            Picture::InMemory(image) => {
                let Ok(()) = image.read_rows(sink);
                return Ok(());
            }
        };
        // Each time anew, so that readers on several threads do not move each other's position.
        let file = open_file(&self.path)?;
        let content = Content::of_file(&file).map_err(|source| Error::io(&self.path, source))?;
        catch_panic(|| read_rows(content, &self.options, sink))
            .map_err(|reason| Error::unreadable(self.path.display(), reason))
    }
}
