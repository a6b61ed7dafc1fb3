//! Any bytes as a checkpoint of ours, and as a PyTorch network in safetensors.
#![no_main]

use std::sync::LazyLock;

use candle_core::Device;
use libfuzzer_sys::fuzz_target;
use simclr_checkpoint::{CheckpointFile, export_torchvision, import, load_model};
use tempfile::TempDir;

static FOLDER: LazyLock<Option<TempDir>> = LazyLock::new(|| tempfile::tempdir().ok());

fuzz_target!(|bytes: &[u8]| {
    let Some(folder) = FOLDER.as_ref() else {
        return;
    };
    let path = folder.path().join("m.safetensors");
    if std::fs::write(&path, bytes).is_err() {
        return;
    }
    let _ = CheckpointFile::load(&path, &Device::Cpu);
    let _ = load_model(&path, &Device::Cpu);
    let _ = export_torchvision(&path, folder.path().join("exported.safetensors"));
    let _ = import(&path);
});
