//! Any bytes as a JPEG file, as a whole and by rows.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut rows = Vec::new();
    let by_rows = simclr_jpeg::decode_rows(input, &mut |new| rows.extend_from_slice(new));
    match simclr_jpeg::decode(input) {
        Ok(image) => {
            assert_eq!(image.pixels.len(), image.height * image.width * 3);
            assert!(by_rows.is_ok() && rows == image.pixels);
        }
        Err(error) => assert_eq!(by_rows, Err(error)),
    }
});
