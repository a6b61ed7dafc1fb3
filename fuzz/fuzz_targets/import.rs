//! Any bytes as a TensorFlow checkpoint of a network: recognised, reported and loaded. Slower
//! than `bundle`, which is for the files themselves.
#![no_main]

mod common;

use candle_core::Device;
use libfuzzer_sys::fuzz_target;
use simclr_checkpoint::{Heads, ImportOptions, import};

fuzz_target!(|input: &[u8]| {
    let Some(prefix) = common::write_checkpoint(input) else {
        return;
    };
    let options = ImportOptions {
        moving_average: input.len() % 2 == 1,
        optimizer_state: input.len() % 3 == 1,
        // Nearly nothing of a network is there in a small file.
        allow_missing: vec!["encoder".into(), "projection".into(), "supervised".into()],
        ..Heads::All.into()
    };
    if let Ok(imported) = import(&prefix, options) {
        let _ = imported.report().to_string();
        if imported.report().initialized.is_empty() {
            let _ = imported.load(&Device::Cpu);
        }
    }
});
