//! What is no text.

/// Why bytes are no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Bytes that are not UTF-8, and no byte-order mark says what else they are.
    #[error("line {line} is not in UTF-8")]
    NotUtf8 {
        /// The first line that is not, from 1.
        line: u64,
    },
    /// A ZIP archive, which the workbooks of spreadsheet programs are too.
    #[error("is a ZIP archive, to be unpacked, or the workbook of a spreadsheet program")]
    Archive,
    /// Bytes of which some are zero: a picture, say.
    #[error("is not a text")]
    NotText,
    /// A byte-order mark of UTF-16, and then bytes that are not.
    #[error("begins as UTF-16, but is damaged")]
    DamagedUtf16,
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
