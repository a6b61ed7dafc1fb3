//! Any bytes as a TIFF file: decoded or refused, without a panic of our reader or of the
//! decompressors, which the library would make an error of.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simclr_data::{DecodeOptions, decode_bytes_with};

fuzz_target!(|input: &[u8]| {
    // The first byte chooses byte order and size of the offsets, since few inputs begin rightly.
    let Some((first, rest)) = input.split_first() else {
        return;
    };
    let magic: [&[u8]; 4] = [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"];
    let file = [magic[usize::from(first % 4)], rest].concat();
    let options = DecodeOptions::default()
        .with_max_pixels(1 << 22)
        .with_apply_orientation(first & 4 > 0);
    if let Err(error) = decode_bytes_with("input.tif", &file, &options) {
        assert!(!error.to_string().contains("the decoder failed"), "{error}");
    }
});
