//! Any bytes as a checkpoint of ours, and as a PyTorch network in safetensors.
#![no_main]

use candle_core::Device;
use libfuzzer_sys::fuzz_target;
use simclr_checkpoint::{CheckpointFile, Heads, import, load_encoder, load_model};

fuzz_target!(|bytes: &[u8]| {
    let Ok(folder) = tempfile::tempdir() else {
        return;
    };
    let path = folder.path().join("m.safetensors");
    if std::fs::write(&path, bytes).is_err() {
        return;
    }
    let _ = CheckpointFile::load(&path, &Device::Cpu);
    let _ = load_model(&path, &Device::Cpu);
    let _ = load_encoder(&path, &Device::Cpu);
    let _ = import(&path, Heads::All);
});
