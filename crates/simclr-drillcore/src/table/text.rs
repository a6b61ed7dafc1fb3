//! The text of CSV files, with errors that name the file.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use csv::ErrorKind;
use simclr_csv::CsvText;

use crate::error::{Error, Result};

/// The text of a CSV file, which knows where it is from.
pub(crate) struct TableText {
    path: PathBuf,
    text: CsvText,
}

impl TableText {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(simclr_files::Error::io(path))?;
        let text = CsvText::new(bytes).map_err(|error| match error {
            simclr_csv::Error::NotUtf8 { line } => {
                let reason = "the text is not UTF-8: save it as `CSV UTF-8`";
                Error::table(path, line, reason)
            }
            error => {
                let reason = format!("the text {error}: save it as `CSV UTF-8`");
                Error::table(path, None, reason)
            }
        })?;
        Ok(Self {
            path: path.to_owned(),
            text,
        })
    }

    /// A reader of the table.
    pub(crate) fn reader(&self) -> csv::Reader<&[u8]> {
        csv::ReaderBuilder::new()
            .delimiter(self.separator())
            .from_reader(self.body())
    }

    /// What the CSV reader says of this file.
    pub(crate) fn failed(&self, error: csv::Error) -> Error {
        let line = self.line(error.position());
        let reason = match error.kind() {
            ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => unequal(*len as usize, *expected_len as usize),
            ErrorKind::Deserialize { err, .. } => err.to_string(),
            _ => error.to_string(),
        };
        Error::table(&self.path, line, reason)
    }
}

impl Deref for TableText {
    type Target = CsvText;

    fn deref(&self) -> &CsvText {
        &self.text
    }
}

/// What is wrong with a row that has other cells than the header.
pub(super) fn unequal(cells: usize, headers: usize) -> String {
    format!("the row has {cells} cells, and the header has {headers}")
}
