//! Folders that are either complete or not there.

use std::fs;
use std::path::Path;

use crate::error::Result;

/// Makes the folder `path`: `fill` writes into a temporary folder beside it, which gets its name at
/// the end, or is removed if something failed.
pub(crate) fn write_folder(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(simclr_files::Error::io(parent))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".tmp");
    // As any new folder: the process's umask decides who may read it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let temporary = builder
        .tempdir_in(parent)
        .map_err(simclr_files::Error::io(path))?;
    fill(temporary.path())?;
    fs::rename(temporary.path(), path).map_err(simclr_files::Error::io(path))?;
    // It has another name now, so there is nothing left to remove.
    let _ = temporary.keep();
    Ok(())
}
