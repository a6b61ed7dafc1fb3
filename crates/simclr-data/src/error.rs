use std::fmt::Display;
use std::path::PathBuf;

/// What can go wrong between a folder of images and a batch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A folder that cannot be used: it does not exist, holds no images, exists already
    /// although it was to be made, and so on.
    #[error("{}: {reason}", path.display())]
    Folder {
        /// The folder, or what is there instead.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or folder could not be read or written.
    #[error("{}: cannot be read or written", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file could not be written, or found.
    #[error(transparent)]
    File(#[from] simclr_files::Error),
    /// A file that is not an image, or is damaged.
    #[error("{name}: {reason}")]
    Unreadable {
        /// The file.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An index past the end of a data set.
    #[error("image {index} was asked for, but the data set has {len} images")]
    Index {
        /// The index.
        index: usize,
        /// Images there are.
        len: usize,
    },
    /// Something that needs labels was asked of images that have none.
    #[error("{operation} needs labels, but image '{name}' has none")]
    Unlabelled {
        /// What was asked.
        operation: &'static str,
        /// The first image without a label.
        name: String,
    },
    /// A label without a class.
    #[error("image '{name}' has label {label}, but there are {classes} classes")]
    Label {
        /// The image.
        name: String,
        /// Its label.
        label: u32,
        /// How many classes there are.
        classes: usize,
    },
    /// A class with too few images, or groups of images, for a split.
    #[error("class '{class}' has {images} images{reason}")]
    ClassTooSmall {
        /// The class.
        class: String,
        /// Images it has.
        images: usize,
        /// Why these are too few; begins with a space or a comma.
        reason: String,
    },
    /// A pattern for groups that is not a regular expression, or does not match an image.
    #[error("the pattern '{pattern}' {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A map of classes that does not fit the classes.
    #[error("class map: {0}")]
    ClassMap(String),
    /// A setting outside its range.
    #[error("{name} must be {expected}, got {found}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its range, in words.
        expected: String,
        /// Its value.
        found: String,
    },
    /// More images per batch than there are images.
    #[error(
        "a batch of {batch_size} images was asked for, but the data set has {len}; \
         use a batch size of at most {len}"
    )]
    BatchTooLarge {
        /// Images per batch.
        batch_size: usize,
        /// Images there are.
        len: usize,
    },
    /// An augmentation failed.
    #[error("{name}: the augmentation failed")]
    Augment {
        /// The image.
        name: String,
        /// The augmentation's error.
        source: simclr_augment::Error,
    },
    /// A policy that cannot be applied to any image.
    #[error(transparent)]
    Policy(#[from] simclr_augment::Error),
    /// A worker thread panicked on an image.
    #[error("{name}: the loader's worker failed on this image: {message}")]
    Worker {
        /// The image.
        name: String,
        /// The panic's message.
        message: String,
    },
    /// The loader's threads could not be started.
    #[error("the loader's threads cannot be started")]
    Threads(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A tensor could not be made.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// An error of a [`Dataset`](crate::Dataset) that is implemented elsewhere; see
    /// [`Error::other`].
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Any other error, for data sets that are implemented outside of this crate. Its
    /// message should name the image.
    ///
    /// ```
    /// let missing = std::io::Error::other("tile 7 is missing");
    /// assert_eq!(simclr_data::Error::other(missing).to_string(), "tile 7 is missing");
    /// ```
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        let path = path.into();
        Self::Io { path, source }
    }

    pub(crate) fn folder(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        let (path, reason) = (path.into(), reason.into());
        Self::Folder { path, reason }
    }

    pub(crate) fn unreadable(name: impl Display, reason: impl Into<String>) -> Self {
        let (name, reason) = (name.to_string(), reason.into());
        Self::Unreadable { name, reason }
    }

    pub(crate) fn setting(
        name: &'static str,
        expected: impl Into<String>,
        found: impl Display,
    ) -> Self {
        Self::Setting {
            name,
            expected: expected.into(),
            found: found.to_string(),
        }
    }
}

/// Fails with [`Error::Setting`] unless the value is valid.
pub(crate) fn check(
    is_valid: bool,
    name: &'static str,
    expected: &'static str,
    found: impl Display,
) -> Result<()> {
    if is_valid {
        return Ok(());
    }
    Err(Error::setting(name, expected, found))
}

/// The result of anything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
