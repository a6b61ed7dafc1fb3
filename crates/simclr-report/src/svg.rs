//! A finished figure.

use std::path::Path;

use simclr_files::write_bytes;

use crate::error::Result;

/// An SVG document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Svg {
    text: String,
}

impl Svg {
    /// A figure that was drawn elsewhere: an SVG document without an XML declaration. It becomes a
    /// part of a page as it is, so it is not to hold what users wrote but as text.
    pub fn new(text: String) -> Self {
        Self { text }
    }

    /// The document, without an XML declaration: it can stand in HTML as it is.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Writes the document to a file, atomically.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File).
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(write_bytes(path, self.text.as_bytes())?)
    }
}
