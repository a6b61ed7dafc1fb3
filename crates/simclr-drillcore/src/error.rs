//! The errors of sections, tables and logs.

use std::path::{Path, PathBuf};

/// What can go wrong between a photograph and a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] simclr_files::Error),
    /// A report could not be made.
    #[error(transparent)]
    Report(#[from] simclr_report::Error),
    /// A table that cannot be used.
    #[error("{}{}: {reason}", path.display(), line.map_or(String::new(), |line| format!(", line {line}")))]
    Table {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1, if it is about one.
        line: Option<u64>,
        /// What was found and what was expected.
        reason: String,
    },
    /// A photograph in which no core was found.
    #[error("{section}: no core was found: {reason}; if there is one, say where with a crop")]
    NoCore {
        /// The section.
        section: String,
        /// What is missing.
        reason: String,
    },
    /// Sections, tiles or intervals that do not fit together.
    #[error("{subject}: {reason}")]
    Mismatch {
        /// What it is about.
        subject: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// A photograph could not be read.
    #[error("{}: the photograph cannot be read", path.display())]
    Photograph {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A setting is out of range.
    #[error("{setting}: expected {expected}, found {found}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// The values it may have.
        expected: String,
        /// The value it has.
        found: String,
    },
    /// A picture could not be made.
    #[error("{name}: the picture cannot be encoded: {reason}")]
    Picture {
        /// The picture.
        name: String,
        /// Why.
        reason: String,
    },
}

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn table(
        path: &Path,
        line: impl Into<Option<u64>>,
        reason: impl Into<String>,
    ) -> Self {
        Self::Table {
            path: path.to_owned(),
            line: line.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn mismatch(subject: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Mismatch {
            subject: subject.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn picture(name: impl Into<String>, reason: impl ToString) -> Self {
        Self::Picture {
            name: name.into(),
            reason: reason.to_string(),
        }
    }
}

/// Fails with [`Error::Setting`] unless the value is valid.
pub(crate) fn check(
    is_valid: bool,
    setting: &'static str,
    expected: &str,
    found: impl ToString,
) -> Result<()> {
    if is_valid {
        return Ok(());
    }
    Err(Error::Setting {
        setting,
        expected: expected.to_owned(),
        found: found.to_string(),
    })
}
