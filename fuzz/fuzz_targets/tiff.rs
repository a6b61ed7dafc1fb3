//! Any bytes as a TIFF file, as a whole and by rows: decoded or refused, without a panic of our
//! reader or of the decompressors, which the library would make an error of.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use simclr_augment::{RowSink, RowSource};
use simclr_data::{DecodeOptions, RowReader, decode_bytes_with};
use tempfile::TempDir;

static FOLDER: LazyLock<Option<TempDir>> = LazyLock::new(|| tempfile::tempdir().ok());

fuzz_target!(|input: &[u8]| {
    // The first byte chooses byte order and size of the offsets, since few inputs begin rightly.
    let (Some(folder), Some((first, rest))) = (FOLDER.as_ref(), input.split_first()) else {
        return;
    };
    let magic: [&[u8]; 4] = [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"];
    let file = [magic[usize::from(first % 4)], rest].concat();
    let options = DecodeOptions::default()
        .with_max_pixels(1 << 22)
        .with_apply_orientation(first & 4 > 0);
    let path = folder.path().join("input.tif");
    if std::fs::write(&path, &file).is_err() {
        return;
    }
    let whole = decode_bytes_with("input.tif", &file, &options);
    let mut rows = Rows::default();
    let by_rows = RowReader::open(&path, &options).and_then(|reader| reader.read_rows(&mut rows));
    match whole {
        Ok(image) => {
            assert!(by_rows.is_ok(), "{by_rows:?}");
            assert_eq!(rows.size, (image.height(), image.width()));
            assert!(rows.pixels == image.data());
        }
        Err(error) => {
            assert!(!error.to_string().contains("the decoder failed"), "{error}");
            assert!(by_rows.is_err(), "{error}");
        }
    }
});

#[derive(Default)]
struct Rows {
    size: (usize, usize),
    pixels: Vec<u8>,
}

impl RowSink for Rows {
    fn begin(&mut self, height: usize, width: usize) {
        self.size = (height, width);
    }

    fn rows(&mut self, rgb: &[u8]) {
        self.pixels.extend_from_slice(rgb);
    }
}
