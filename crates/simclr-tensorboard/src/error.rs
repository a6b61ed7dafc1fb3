//! The errors of event files.

use std::path::{Path, PathBuf};

/// What can go wrong with an event file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file holds something else than events.
    #[error("{}: {reason} at byte {offset}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        offset: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// An image cannot be encoded.
    #[error("image `{tag}`: expected {expected} bytes of {width} x {height} pixels, found {found}")]
    Image {
        /// The tag of the image.
        tag: String,
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// Three bytes a pixel.
        expected: u64,
        /// How many bytes there are.
        found: usize,
    },
}

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// For `map_err`: an input/output error together with the path it is about.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
