//! Any bytes as a TensorFlow checkpoint of a network: recognised, reported and loaded. Slower
//! than `bundle`, which is for the files themselves.
#![no_main]

mod common;

use candle_core::Device;
use libfuzzer_sys::fuzz_target;
use simclr_checkpoint::{ImportOptions, import_with};

fuzz_target!(|input: &[u8]| {
    let Some(prefix) = common::write_checkpoint(input) else {
        return;
    };
    let options = ImportOptions::default()
        .with_moving_average(input.len() % 2 == 1)
        .with_optimizer_state(input.len() % 3 == 1)
        // Nearly nothing of a network is there in a small file.
        .with_allow_missing(["encoder", "projection", "supervised"]);
    if let Ok(imported) = import_with(&prefix, &options) {
        let _ = imported.report.to_string();
        if imported.report.initialized.is_empty() {
            let _ = imported.load(&Device::Cpu);
        }
    }
});
