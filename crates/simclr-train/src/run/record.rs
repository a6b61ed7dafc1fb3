//! Reading the JSON files of a run's record.

use std::ffi::OsStr;
use std::path::Path;

use serde::de::DeserializeOwned;
use simclr_files::{Error as FileError, read_json};

use crate::error::Result;

pub(crate) const RESULT: &str = "result.json";
pub(super) const NOTICES: &str = "notices.json";

/// Reads a JSON file of the record of a run or a study; `None` if there is none.
///
/// # Errors
/// [`Error::File`](crate::Error::File), of a damaged file with what to do about it.
pub fn read_record<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let advice = match path.file_name().and_then(OsStr::to_str) {
        Some(RESULT) => {
            "remove the file, and the command that began the run writes it again from the last \
             checkpoint"
        }
        Some(NOTICES) => "remove the file, which holds warnings alone, and the run goes on",
        _ => {
            "the rest of the folder is not lost: remove the file, and the command that began the \
             work, with the same options, writes it again and goes on"
        }
    };
    Ok(read_json(path).map_err(FileError::advise(advice))?)
}
