//! JPEG files give the bytes that TensorFlow gives, and broken ones an error.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use simclr_data::decode_file;
use simclr_testkit::{GoldenCase, golden_cases};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

fn recorded() -> GoldenCase {
    golden_cases(golden())
        .unwrap()
        .into_iter()
        .find(|case| case.name == "decode_jpeg")
        .unwrap()
}

#[test]
fn every_byte_is_tensorflows() {
    let case = recorded();
    let mut files = 0;
    for name in case.names() {
        let Some(file) = name.strip_prefix("decoded/") else {
            continue;
        };
        let decoded = decode_file(case.directory.join(file)).unwrap();
        let expected: Vec<u8> = case
            .integers(name)
            .unwrap()
            .iter()
            .map(|&v| v as u8)
            .collect();
        assert!(decoded.data() == expected, "{file} differs");
        files += 1;
    }
    assert!(files >= 6);
}

fn decode_bytes(bytes: &[u8]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.jpg");
    std::fs::write(&path, bytes).unwrap();
    decode_file(&path)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

#[test]
fn truncated_files_are_errors_that_name_the_file() {
    for file in ["rgb420.jpg", "progressive.jpg", "gray.jpg"] {
        let bytes = std::fs::read(recorded().directory.join(file)).unwrap();
        for keep in (1..20).map(|part| bytes.len() * part / 20) {
            let mut cut = bytes[..keep].to_vec();
            let error = decode_bytes(&cut).unwrap_err();
            assert!(error.contains("broken.jpg"), "{error}");
            // An end marker does not make up for what is missing.
            cut.extend([0xFF, 0xD9]);
            assert!(
                decode_bytes(&cut).is_err() || file == "progressive.jpg",
                "{file} {keep}"
            );
        }
    }
}

/// A damaged header must not make the decoder reserve gigabytes.
#[test]
fn a_picture_too_large_for_its_file_is_refused_at_its_header() {
    for file in ["rgb420.jpg", "progressive.jpg", "gray.jpg"] {
        let mut bytes = std::fs::read(recorded().directory.join(file)).unwrap();
        let frame = |pair: &[u8]| pair[0] == 0xFF && matches!(pair[1], 0xC0 | 0xC2);
        let start = bytes.windows(2).position(frame).unwrap();
        // Height and width: 12000 pixels each.
        bytes[start + 5..start + 9].copy_from_slice(&[0x2E, 0xE0, 0x2E, 0xE0]);
        let error = decode_bytes(&bytes).unwrap_err();
        assert!(
            error.contains("cannot hold its 12000 x 12000 pixels"),
            "{error}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damage_never_panics(
        which in 0usize..6,
        hits in prop::collection::vec((0.0f64..1.0, any::<u8>()), 1..8),
    ) {
        let names = ["rgb420.jpg", "progressive.jpg", "gray.jpg", "rgb422.jpg", "rgb444.jpg", "odd_size.jpg"];
        let mut bytes = std::fs::read(recorded().directory.join(names[which])).unwrap();
        for (place, value) in hits {
            let place = (place * bytes.len() as f64) as usize;
            bytes[place] = value;
        }
        // Either outcome is fine; it only must be one.
        let _ = decode_bytes(&bytes);
    }
}
