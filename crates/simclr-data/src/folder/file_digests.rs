use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::decode::read_file;
use crate::error::{Error, Result};

/// By which a file's change is noticed without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
}

/// A file's digest, and the stamp that it had then.
type Known = Option<(Stamp, [u8; 32])>;

/// The digests of a folder's files, as far as they were asked for. A file is read again only if it
/// has changed.
#[derive(Debug)]
pub(super) struct FileDigests(Vec<Mutex<Known>>);

impl FileDigests {
    pub(super) fn new(files: usize) -> Self {
        Self((0..files).map(|_| Mutex::default()).collect())
    }

    /// SHA-256 of a file as it is now.
    pub(super) fn of(&self, index: usize, path: &Path) -> Result<[u8; 32]> {
        let now = Stamp::of(path)?;
        if let Some((_, digest)) = self.known(index).filter(|(stamp, _)| *stamp == now) {
            return Ok(digest);
        }
        let digest = read(path)?;
        self.remember(index, now, digest);
        Ok(digest)
    }

    /// Fails if a file is no longer the one whose digest was asked for.
    pub(super) fn check(&self, index: usize, path: &Path) -> Result<()> {
        let Some((stamp, digest)) = self.known(index) else {
            return Ok(());
        };
        let now = Stamp::of(path)?;
        if now == stamp {
            return Ok(());
        }
        if read(path)? == digest {
            self.remember(index, now, digest);
            return Ok(());
        }
        let reason = format!(
            "has changed since the work began, from {} to {} bytes",
            stamp.bytes, now.bytes
        );
        Err(Error::unreadable(path.display().to_string(), reason))
    }

    fn remember(&self, index: usize, stamp: Stamp, digest: [u8; 32]) {
        if let Some(slot) = self.0.get(index) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some((stamp, digest));
        }
    }

    fn known(&self, index: usize) -> Known {
        let slot = self.0.get(index)?;
        *slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> Result<[u8; 32]> {
    Ok(Sha256::digest(read_file(path)?).into())
}

impl Stamp {
    fn of(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|source| Error::io(path, source))?;
        Ok(Self {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_after_its_digest_is_noticed_and_one_that_is_touched_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("core.png");
        std::fs::write(&path, "one").unwrap();
        let digests = FileDigests::new(1);
        digests.check(0, &path).unwrap();
        let digest = digests.of(0, &path).unwrap();
        assert_eq!(digest[..2], [0x76, 0x92]);

        let set_age = |seconds| {
            let file = std::fs::File::options().append(true).open(&path).unwrap();
            let time = SystemTime::now() - std::time::Duration::from_secs(seconds);
            file.set_modified(time).unwrap();
        };
        set_age(100);
        digests.check(0, &path).unwrap();
        for changed in ["two", "three"] {
            std::fs::write(&path, changed).unwrap();
            set_age(200);
            for _ in 0..2 {
                let error = digests.check(0, &path).unwrap_err().to_string();
                assert!(
                    error.contains("core.png") && error.contains("changed"),
                    "{error}"
                );
            }
        }
        assert_ne!(digests.of(0, &path).unwrap(), digest);
        digests.check(0, &path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(
            digests
                .check(0, &path)
                .unwrap_err()
                .to_string()
                .contains("core.png")
        );
    }
}
