//! The JSON files of labelling programs.

use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};

pub(crate) fn read_json(path: &Path) -> Result<Value> {
    let bytes = std::fs::read(path).map_err(simclr_files::Error::io(path))?;
    let text = simclr_csv::decode(bytes).map_err(Error::malformed(path))?;
    serde_json::from_str(&text).map_err(Error::malformed(path))
}
