//! What tells a file from another one.

use std::fs::File;
use std::io;
use std::path::Path;

use simclr_files::Digest;

use crate::terminal::AnyResult;

/// SHA-256 of a file, which is not read into memory whole.
pub(crate) fn file_digest(path: &Path) -> AnyResult<String> {
    let mut digest = Digest::default();
    let copied = File::open(path).and_then(|mut file| io::copy(&mut file, &mut digest));
    copied.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(digest.to_hex())
}
