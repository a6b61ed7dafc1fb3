//! One process per run folder.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::{Error, Result};

const FILE: &str = "run.lock";

/// Holds the operating system's lock on a run folder until it is dropped or
/// the process ends, in whatever way: there are no stale locks. The lock file
/// itself stays, since removing it would let two processes lock two files of
/// the same name.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock, or fails at once with [`Error::RunLocked`].
    pub(super) fn take(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::RunLocked {
                dir: dir.to_owned(),
                lock: path,
            }),
            Err(TryLockError::Error(error)) => Err(Error::io(&path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_taker_is_told_and_a_dropped_lock_is_free_again() {
        let dir = tempfile::tempdir().unwrap();
        let first = FolderLock::take(dir.path()).unwrap();
        let error = FolderLock::take(dir.path()).unwrap_err();
        assert!(matches!(error, Error::RunLocked { .. }), "{error}");
        assert!(error.to_string().contains("in use by another run"));
        drop(first);
        FolderLock::take(dir.path()).unwrap();
    }
}
