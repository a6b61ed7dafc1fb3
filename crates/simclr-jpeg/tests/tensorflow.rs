//! JPEG files give the bytes that TensorFlow gives, and broken ones an error.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use simclr_jpeg::{Error, decode, is_complete};

fn file(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

/// Name, height, width and the SHA-256 of the bytes of `tf.image.decode_jpeg(file, channels=3)`.
const RECORDED: [(&str, usize, usize, &str); 6] = [
    (
        "gray.jpg",
        64,
        72,
        "9d37fa6a60f0dba06b27a0f10a832d63e1ee722d3990ea8cbaeda3dea36e786d",
    ),
    (
        "odd_size.jpg",
        37,
        51,
        "05953e4323861ab086ef53cf473b78bf8baf8355e5a48751037e07c0605ccb7d",
    ),
    (
        "progressive.jpg",
        64,
        64,
        "2ac4a5627d875ac65619ddd95220417db4c560dce02492c40b05739a27dc6b5a",
    ),
    (
        "rgb420.jpg",
        66,
        80,
        "23fd7bc2645b1d014cab09197eb67f949d7e208505d31c1e86d9e5651406f9c2",
    ),
    (
        "rgb422.jpg",
        45,
        61,
        "05c35b44717e90ad9e32fd7de798d371ec99d4583260986e38ca7bd746ab5ec2",
    ),
    (
        "rgb444.jpg",
        40,
        56,
        "e7ebc702cba950e9d232fe4e52237bdb78e866a643078a17f14ec83ab930e9af",
    ),
];

#[test]
fn every_byte_is_tensorflows() {
    for (name, height, width, digest) in RECORDED {
        let image = decode(&file(name)).unwrap();
        assert_eq!((image.height, image.width), (height, width), "{name}");
        assert_eq!(hex::encode(Sha256::digest(&image.pixels)), digest, "{name}");
    }
}

#[test]
fn truncated_files_are_errors() {
    for name in ["rgb420.jpg", "progressive.jpg", "gray.jpg"] {
        let bytes = file(name);
        assert!(is_complete(&bytes));
        for keep in (1..20).map(|part| bytes.len() * part / 20) {
            let mut cut = bytes[..keep].to_vec();
            assert!(
                matches!(decode(&cut), Err(Error::Damaged(_))),
                "{name} {keep}"
            );
            assert!(!is_complete(&cut), "{name} {keep}");
            // An end marker does not make up for what is missing.
            cut.extend([0xFF, 0xD9]);
            assert!(
                decode(&cut).is_err() || name == "progressive.jpg",
                "{name} {keep}"
            );
        }
    }
}

/// A damaged header must not make the decoder reserve gigabytes.
#[test]
fn an_image_too_large_for_its_file_is_refused_at_its_header() {
    for name in ["rgb420.jpg", "progressive.jpg", "gray.jpg"] {
        let mut bytes = file(name);
        let frame = |pair: &[u8]| pair[0] == 0xFF && matches!(pair[1], 0xC0 | 0xC2);
        let start = bytes.windows(2).position(frame).unwrap();
        // Height and width: 12000 pixels each.
        bytes[start + 5..start + 9].copy_from_slice(&[0x2E, 0xE0, 0x2E, 0xE0]);
        let error = decode(&bytes).unwrap_err().to_string();
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
        which in 0..RECORDED.len(),
        hits in prop::collection::vec((0.0f64..1.0, any::<u8>()), 1..8),
    ) {
        let mut bytes = file(RECORDED[which].0);
        for (place, value) in hits {
            let place = (place * bytes.len() as f64) as usize;
            bytes[place] = value;
        }
        // Either outcome is fine; it only must be one.
        let _ = decode(&bytes);
    }
}
