//! Files that are either complete or not there, with this crate's errors.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use simclr_checkpoint::Durability;

use crate::{Error, Result};

/// Writes the file `path` by way of a temporary file in the same folder.
///
/// `write` fills the temporary file, which is then synchronised to the disk
/// and renamed to `path`. A reader sees the old content or the new one, never
/// a part, whatever happens in between.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be written to, and whatever `write`
/// returns; the old file, if any, stays as it was, and no temporary file is
/// left.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("note.txt");
/// use simclr_train::run::write_atomically;
///
/// write_atomically(&path, |file| file.write_all(b"complete"))?;
/// let failed = write_atomically(&path, |file| {
///     file.write_all(b"a ha")?;
///     Err(std::io::Error::other("the power is gone"))
/// });
/// assert!(failed.is_err());
/// assert_eq!(std::fs::read(&path)?, b"complete");
/// # Ok(())
/// # }
/// ```
pub fn write_atomically<E>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::result::Result<(), E>,
) -> Result<()>
where
    E: IntoFileError,
{
    simclr_checkpoint::write_atomically(path, Durability::Synchronized, |file| {
        write(file).map_err(|error| error.into_file_error(path))
    })
}

/// What the writing closure of [`write_atomically`] may fail with.
pub trait IntoFileError {
    /// The crate's error for a failure while `path` was being written.
    fn into_file_error(self, path: &Path) -> Error;
}

impl IntoFileError for Error {
    fn into_file_error(self, _: &Path) -> Error {
        self
    }
}

impl IntoFileError for std::io::Error {
    fn into_file_error(self, path: &Path) -> Error {
        Error::io(path)(self)
    }
}

impl IntoFileError for serde_json::Error {
    fn into_file_error(self, path: &Path) -> Error {
        Error::json(path)(self)
    }
}

/// Writes `value` as indented JSON, atomically.
pub(crate) fn write_json<T: Serialize + ?Sized>(path: &Path, value: &T) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).map_err(Error::json(path))?;
    text.push(b'\n');
    write_atomically(path, |file| file.write_all(&text))
}

/// Reads JSON; `None` if there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
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
    fn an_error_in_the_middle_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("value.json");
        write_json(&path, &[1, 2, 3]).unwrap();
        let error = write_atomically(&path, |file| {
            file.write_all(b"[4, ")?;
            Err(std::io::Error::other("stopped"))
        })
        .unwrap_err();
        assert!(error.to_string().contains("value.json: stopped"), "{error}");
        assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), Some(vec![1, 2, 3]));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
