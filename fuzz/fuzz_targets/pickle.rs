//! Any bytes as the pickle in a file of PyTorch's: described, listed, read and imported.
#![no_main]

use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use simclr_checkpoint::{PickleReader, import};
use tempfile::TempDir;
use zip::result::ZipResult;
use zip::write::{SimpleFileOptions, ZipWriter};

static FOLDER: LazyLock<Option<TempDir>> = LazyLock::new(|| tempfile::tempdir().ok());

fuzz_target!(|pickle: &[u8]| {
    let Some(folder) = FOLDER.as_ref() else {
        return;
    };
    let path = folder.path().join("m.pth");
    if write(&path, pickle).is_err() {
        return;
    }
    let Ok(file) = PickleReader::open(&path) else {
        return;
    };
    for name in file.tensors().keys() {
        let _ = file.read(name);
    }
    let _ = import(&path);
});

/// The archive around a pickle, with one storage.
fn write(path: &Path, pickle: &[u8]) -> ZipResult<()> {
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("m/data.pkl", stored)?;
    archive.write_all(pickle)?;
    archive.start_file("m/data/0", stored)?;
    archive.write_all(&[0; 96])?;
    Ok(std::fs::write(path, archive.finish()?.into_inner())?)
}
