//! Any bytes as a JPEG file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(image) = simclr_jpeg::decode(input) {
        assert_eq!(image.pixels.len(), image.height * image.width * 3);
    }
});
