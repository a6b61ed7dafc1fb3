//! Decoding as a whole and row by row, which have to give the same.
#![allow(clippy::unwrap_used)]

use simclr_augment::{RowSink, RowSource};
use simclr_data::{DecodeOptions, DecodedImage, Error, Result, RowReader};

#[derive(Default)]
struct Rows {
    size: Option<(usize, usize)>,
    pixels: Vec<u8>,
}

impl RowSink for Rows {
    fn begin(&mut self, height: usize, width: usize) {
        assert_eq!(self.size.replace((height, width)), None);
    }

    fn rows(&mut self, rgb: &[u8]) {
        let width = self.size.unwrap().1;
        assert!(!rgb.is_empty() && rgb.len().is_multiple_of(width * 3));
        self.pixels.extend_from_slice(rgb);
    }
}

#[allow(dead_code)]
pub(crate) fn decode_bytes(name: &str, bytes: &[u8]) -> Result<DecodedImage> {
    decode_bytes_with(name, bytes, &DecodeOptions::default())
}

/// As `simclr_data::decode_bytes_with`. Reading the rows of a file with these bytes, twice, gives the same
/// pixels or the same reason.
pub(crate) fn decode_bytes_with(
    name: &str,
    bytes: &[u8],
    options: &DecodeOptions,
) -> Result<DecodedImage> {
    let whole = simclr_data::decode_bytes_with(name, bytes, options);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let reader = RowReader::open(file.path(), options);
    for _ in 0..2 {
        let mut rows = Rows::default();
        let read = reader
            .as_ref()
            .map_err(reason)
            .and_then(|reader| reader.read_rows(&mut rows).map_err(|error| reason(&error)));
        match &whole {
            Ok(image) => {
                assert_eq!(read, Ok(()));
                assert_eq!(rows.size, Some((image.height(), image.width())));
                assert!(rows.pixels == image.data(), "other pixels");
            }
            Err(error) => assert_eq!(read, Err(reason(error))),
        }
    }
    whole
}

fn reason(error: &Error) -> String {
    match error {
        Error::Unreadable { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}
