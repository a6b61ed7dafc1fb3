//! Files for the targets that read checkpoints of TensorFlow's.

use std::path::PathBuf;
use std::sync::LazyLock;

use tempfile::TempDir;

static FOLDER: LazyLock<Option<TempDir>> = LazyLock::new(|| tempfile::tempdir().ok());

/// Writes an input as a checkpoint, and gives its prefix. The input is the length of the index
/// (four bytes, little-endian), the index, and the data of every shard.
pub fn write_checkpoint(input: &[u8]) -> Option<PathBuf> {
    let (length, rest) = input.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    let (index, data) = rest.split_at_checked(length)?;
    let folder = FOLDER.as_ref()?.path();
    std::fs::write(folder.join("m.index"), index).ok()?;
    for name in ["00000-of-00001", "00000-of-00002", "00001-of-00002"] {
        std::fs::write(folder.join(format!("m.data-{name}")), data).ok()?;
    }
    Some(folder.join("m"))
}
