//! Pages that are somebody else's.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Error, Result};

/// What a page says it was made by, in its element `meta name="generator"`.
pub(crate) const GENERATOR: &str = "simclr-report";

/// What only our pages have: the generator, or, before they named it, the list of sections behind the
/// question.
const MARKS: [&str; 2] = [
    "name=\"generator\" content=\"simclr-report\"",
    "</p><nav aria-label=\"Sections\">",
];

/// Fails if a page is there that is none of ours, and would be replaced.
///
/// # Errors
/// [`Error::Foreign`] names the file; [`Error::File`] if it cannot be read.
pub fn check_foreign(page: impl AsRef<Path>) -> Result<()> {
    let page = page.as_ref();
    let text = match fs::read(page) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(simclr_files::Error::io(page)(error).into()),
    };
    let text = String::from_utf8_lossy(&text);
    if MARKS.iter().any(|mark| text.contains(mark)) {
        return Ok(());
    }
    Err(Error::Foreign {
        path: page.to_owned(),
    })
}
