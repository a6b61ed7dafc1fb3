//! The JSON files of labelling programs.

use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};

pub(crate) fn read_json(path: &Path) -> Result<Value> {
    let bytes = std::fs::read(path).map_err(simclr_files::Error::io(path))?;
    let text = simclr_csv::decode(bytes).map_err(Error::malformed(path))?;
    serde_json::from_str(&text).map_err(Error::malformed(path))
}

/// How sure a classifier was, by its annotation or prediction; nothing if that does not say it.
pub(crate) fn score(annotation: &Value) -> Result<Option<f64>, String> {
    match annotation.get("score") {
        None | Some(Value::Null) => Ok(None),
        Some(score) => {
            let number = score.as_f64();
            let wrong = || format!("expected a number as `score`, found {score}");
            number.map(Some).ok_or_else(wrong)
        }
    }
}
