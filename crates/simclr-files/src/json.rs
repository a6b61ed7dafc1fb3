//! JSON files.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::atomic::{Durability, write_atomically};
use crate::error::{Error, Result};

/// Writes `value` as indented JSON, atomically and [synchronised](Durability::Synchronized).
///
/// # Errors
/// [`Error::Json`] if the value cannot be serialised, [`Error::Io`] if the file cannot be
/// written.
pub fn write_json<T: Serialize + ?Sized>(path: &Path, value: &T) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).map_err(Error::json(path))?;
    text.push(b'\n');
    write_atomically(path, Durability::Synchronized, |file| {
        file.write_all(&text).map_err(Error::io(path))
    })
}

/// Reads a JSON file; `None` if there is no such file.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Json`] if it is not what `T` expects.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path)(error)),
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(Error::json(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_back_and_a_missing_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("value.json");
        assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), None);
        write_json(&path, &[1, 2, 3]).unwrap();
        assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), Some(vec![1, 2, 3]));
        fs::write(&path, "[4, ").unwrap();
        let error = read_json::<Vec<u32>>(&path).unwrap_err().to_string();
        assert!(error.contains("value.json: EOF"), "{error}");
    }
}
