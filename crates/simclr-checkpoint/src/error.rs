//! The errors of this crate: each one names the file it is about.

use std::path::{Path, PathBuf};

/// What can go wrong with a checkpoint.
///
/// A message is a whole sentence: where another library's error is the reason, its text is part
/// of the message and it is not a `source()` besides.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error(transparent)]
    File(#[from] simclr_files::Error),
    /// The file is damaged or of another format.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// Stored and computed checksums differ: the bytes have changed since they were written.
    #[error("{path}: {what}: checksum {computed:08x}, the file says {stored:08x}")]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The block or variable.
        what: String,
        /// CRC-32C in the file.
        stored: u32,
        /// CRC-32C of the bytes that are there.
        computed: u32,
    },
    /// The file is sound, but this crate does not read what it holds.
    #[error("{path}: {what} is not supported: {reason}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The variable or feature.
        what: String,
        /// Why, and what would be.
        reason: String,
    },
    /// There is no variable of this name.
    #[error("{path}: no variable `{name}`{hint}")]
    NotFound {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        name: String,
        /// Names that are close, if any.
        hint: String,
    },
    /// The variables are not those of the network that they resemble most.
    #[error("{path}: does not fit {network}: {differences}")]
    DoesNotFit {
        /// The file.
        path: PathBuf,
        /// The closest network.
        network: String,
        /// What is missing, left over or of another shape.
        differences: String,
    },
    /// A value is too large for the element type that the file was to have.
    #[error(
        "{path}: `{name}` has the value {value:e}, which is infinite as {element}: \
         save it as f32 or bf16"
    )]
    Overflow {
        /// The file that was to be written.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its first value that does not fit.
        value: f32,
        /// The element type.
        element: crate::ElementType,
    },
    /// A network cannot have these values: NaN, infinity, or a negative variance.
    #[error(
        "{path}: `{name}`: {invalid} of {count} values are NaN, infinite or negative variances, \
         the first at index {index}: {value}"
    )]
    InvalidValues {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// How many of its values are such.
        invalid: usize,
        /// How many values it has.
        count: usize,
        /// Where the first of them is, in row-major order.
        index: usize,
        /// The first of them.
        value: f32,
    },
    /// A setting is not one of the possible ones.
    #[error("{setting}: expected {expected}, found {found}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// The values that are possible.
        expected: String,
        /// The value that was given.
        found: String,
    },
    /// The network cannot be built, the tensors do not fill it, or a tensor operation failed.
    #[error("{path}: {reason}")]
    Model {
        /// The file.
        path: PathBuf,
        /// The model's reason, or candle's.
        reason: Box<simclr_model::Error>,
    },
    /// The file holds another network than the one that was expected.
    #[error("{path}: another architecture: {differences}")]
    Architecture {
        /// The file.
        path: PathBuf,
        /// Each setting that differs, in the file and as expected.
        differences: String,
    },
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn malformed(path: &Path, reason: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    pub(crate) fn unsupported(
        path: &Path,
        what: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self::Unsupported {
            path: path.to_owned(),
            what: what.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn not_found(path: &Path, name: &str, hint: String) -> Self {
        Self::NotFound {
            path: path.to_owned(),
            name: name.to_owned(),
            hint,
        }
    }
}

/// Names the file in the error of another library, which becomes ours.
pub(crate) trait InFile<T> {
    fn in_file(self, path: &Path) -> Result<T>;
}

impl<T> InFile<T> for Result<T, std::io::Error> {
    fn in_file(self, path: &Path) -> Result<T> {
        Ok(self.map_err(simclr_files::Error::io(path))?)
    }
}

impl<T> InFile<T> for Result<T, simclr_model::Error> {
    fn in_file(self, path: &Path) -> Result<T> {
        self.map_err(|reason| Error::Model {
            path: path.to_owned(),
            reason: Box::new(reason),
        })
    }
}

impl<T> InFile<T> for Result<T, candle_core::Error> {
    fn in_file(self, path: &Path) -> Result<T> {
        self.map_err(simclr_model::Error::from).in_file(path)
    }
}
