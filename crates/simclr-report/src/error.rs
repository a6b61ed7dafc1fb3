//! The errors of tables, figures and reports.

use std::path::PathBuf;

/// What can go wrong while a report is made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] simclr_files::Error),
    /// A figure could not be drawn.
    #[error("figure \"{figure}\": {reason}")]
    Plot {
        /// The title of the figure.
        figure: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A page is there that is no report of ours.
    #[error(
        "{}: is there already, and is no report of ours: it would be replaced; take another \
         folder, or move it away",
        path.display()
    )]
    Foreign {
        /// The page.
        path: PathBuf,
    },
    /// A block of a report cannot be shown.
    #[error("report, {block}: {reason}")]
    Report {
        /// The table, figure or image.
        block: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
