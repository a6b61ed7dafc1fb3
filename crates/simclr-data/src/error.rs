//! The errors of data sets, splits and loaders.

use std::path::PathBuf;

/// What can go wrong between a folder of images and a batch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A folder that should hold images does not exist.
    #[error("{}: there is no such folder", .0.display())]
    MissingFolder(PathBuf),
    /// A path that should be a folder is a file.
    #[error("{}: this is a file, but a folder of images was expected", .0.display())]
    NotAFolder(PathBuf),
    /// A file or folder could not be read or written.
    #[error("{}: cannot be read or written", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[cfg(feature = "png")]
    #[error(transparent)]
    File(#[from] simclr_files::Error),
    /// Something is already where a new file or folder was to be made.
    #[error("{}: this exists already, and nothing is overwritten", .0.display())]
    Exists(PathBuf),
    /// A link to a folder that it lies in.
    #[error("{}: this link leads back to {}", path.display(), ancestor.display())]
    LinkLoop {
        /// The link.
        path: PathBuf,
        /// The folder that it leads to.
        ancestor: PathBuf,
    },
    /// No image anywhere below a folder.
    #[error("{}: no images here ({formats} are read); {details}", path.display())]
    NoImages {
        /// The folder.
        path: PathBuf,
        /// The formats that are read.
        formats: String,
        /// What was left out.
        details: String,
    },
    /// Labels were asked for, but the folder has no folders inside.
    #[error(
        "{}: no class folders here; labelled images lie in one folder per class (<folder>/<class>/<image>)",
        .0.display()
    )]
    NoClasses(PathBuf),
    /// A class folder without a usable image.
    #[error("{}: class '{class}' has no images; {details}", path.display())]
    EmptyClass {
        /// The class folder.
        path: PathBuf,
        /// The class.
        class: String,
        /// What was left out.
        details: String,
    },
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
    /// A class too small for a split.
    #[error("class '{class}' has {images} images, and {request} leaves none of them for {part}")]
    ClassTooSmall {
        /// The class.
        class: String,
        /// Images it has.
        images: usize,
        /// What was asked for.
        request: String,
        /// The part that would be empty.
        part: &'static str,
    },
    /// A class with too few groups for a split that keeps groups together.
    #[error(
        "class '{class}' has {images} images in {groups} {}, and with a fraction of {fraction} \
         for {part} no group is left for {part}; take other fractions, or smaller groups",
        if *.groups == 1 { "group" } else { "groups" }
    )]
    TooFewGroups {
        /// The class.
        class: String,
        /// Images it has.
        images: usize,
        /// Groups that they are in.
        groups: usize,
        /// What the part should have of the class.
        fraction: f64,
        /// The part that would be empty.
        part: &'static str,
    },
    /// A pattern for groups that is not a regular expression.
    #[error("the pattern '{pattern}' is not a regular expression: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An image whose group cannot be told from its name.
    #[error(
        "the pattern '{pattern}' does not match the file name of '{name}', so its group is not known"
    )]
    NoGroup {
        /// The pattern.
        pattern: String,
        /// The image.
        name: String,
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

    pub(crate) fn setting(
        name: &'static str,
        expected: impl Into<String>,
        found: impl std::fmt::Display,
    ) -> Self {
        Self::Setting {
            name,
            expected: expected.into(),
            found: found.to_string(),
        }
    }
}

/// The result of anything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
