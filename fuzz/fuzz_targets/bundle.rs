//! Any bytes as a TensorFlow checkpoint: listed, read and verified.
//!
//! Checksums are not compared in a fuzzer's build (`cfg(fuzzing)`), which would otherwise never
//! get behind the first of them.
#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;
use simclr_checkpoint::CanonicalNames;
use simclr_checkpoint::tensorflow::Bundle;

fuzz_target!(|input: &[u8]| {
    let Some(prefix) = common::write_checkpoint(input) else {
        return;
    };
    let Ok(bundle) = Bundle::open(&prefix) else {
        return;
    };
    for (name, _) in bundle.variables() {
        let _ = bundle.read(name);
        let _ = bundle.read_strings(name);
        let _ = bundle.verify_variable(name);
    }
    let _ = CanonicalNames::of(&bundle);
});
