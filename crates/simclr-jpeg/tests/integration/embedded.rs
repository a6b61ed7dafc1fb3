//! JPEG files that are parts of other formats' files are decoded to libjpeg's default bytes.
#![allow(clippy::unwrap_used)]

use sha2::{Digest, Sha256};
use simclr_jpeg::{Components, decode, decode_embedded};

fn file(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Name, components and the SHA-256 of Pillow's pixels (libjpeg-turbo 3.1), which has the accurate
/// transform. Pillow's inks are complements of the file's.
#[rustfmt::skip]
const RECORDED: [(&str, Components, usize, &str); 12] = [
    ("arithmetic.jpg", Components::YCbCr, 3, "fcea6b729425b916de2f0159bf037981c1f88c3477d0fb33ed7be0395478e5ad"),
    ("cmyk_adobe.jpg", Components::Stored, 4, "fe8db103d491c4680033719f836aa3480dbb34d7e0361c6b7d42c7da97ea0b53"),
    ("cmyk_bare.jpg", Components::Stored, 4, "d250bd91672b5f74b1717b15823c54efccd1f1be6d2d3812cebe408933edb9f0"),
    ("gray.jpg", Components::Stored, 1, "c6f6aaa98c693ae47361ed77b1ece9c42ca093568b1580fc89089ffc0b53dc3d"),
    ("odd_size.jpg", Components::YCbCr, 3, "1f6dea8e6d5130545df5564b703bdd3fdcf44e3f2b44547ad30f41f1794f4a50"),
    ("progressive.jpg", Components::YCbCr, 3, "11b158614a5d564d1f104d04016ce1dccdf7238cd30ecb2b3effc04769f0e89e"),
    ("restarts.jpg", Components::Marked, 3, "d296274d7f07c4dc8990ffe8599574f66af837326d1baf9012bd2dca632c2744"),
    ("rgb420.jpg", Components::Marked, 3, "57a08ea7c2bc0d4e0c0cde795fa5911c7b22daf37527dffaa005e5f2c3c40631"),
    ("rgb422.jpg", Components::YCbCr, 3, "c3abe8c99a4fa8dfd7396e7b629504d917b10980e2c231733c651da19949353c"),
    ("rgb444.jpg", Components::Marked, 3, "16a14b391322b55c667c0940e9bec3a60f9c78d45ae233be76b46f318fbd6dde"),
    ("rgb444.jpg", Components::Stored, 3, "05e20501f2802c7a080792d8bfcb936fa1b036a687825b492a38ff79cf01e960"),
    ("tall420_restarts.jpg", Components::YCbCr, 3, "5982603c25c4d5ae7388a8ae4427d66890ee09311367c3db6ce0053c0b557acb"),
];

#[test]
fn every_byte_is_that_of_libjpegs_accurate_transform() {
    for (name, components, channels, expected) in RECORDED {
        let bytes = file(name);
        let image = decode_embedded(&bytes, components).unwrap();
        assert_eq!(image.channels, channels, "{name}");
        assert_eq!(digest(&image.pixels), expected, "{name} {components:?}");
        // The fast transform differs from it somewhere, so the tests tell them apart.
        assert!(decode(&bytes).unwrap().pixels != image.pixels, "{name}");
    }
}

#[test]
fn markers_and_sampling_say_whether_colors_are_ycbcr() {
    let unmarked = |name: &str| {
        let bytes = file(name);
        assert_eq!(bytes[2..4], [0xFF, 0xE0]);
        [&bytes[..2], &bytes[20..]].concat()
    };
    let with_adobe = |bytes: &[u8], transform: u8| {
        let segment = [&b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0"[..], &[transform]].concat();
        [&bytes[..2], &segment, &bytes[2..]].concat()
    };
    let decoded = |bytes: &[u8], components| decode_embedded(bytes, components).unwrap();
    let (full, subsampled) = (unmarked("rgb444.jpg"), unmarked("rgb420.jpg"));
    for (bytes, is_ycbcr) in [
        (&full, false),
        (&with_adobe(&full, 0), false),
        (&with_adobe(&full, 1), true),
        (&subsampled, true),
        (&with_adobe(&subsampled, 0), false),
    ] {
        let expected = if is_ycbcr {
            Components::YCbCr
        } else {
            Components::Stored
        };
        assert!(decoded(bytes, Components::Marked) == decoded(bytes, expected));
        assert!(decoded(bytes, Components::YCbCr) != decoded(bytes, Components::Stored));
    }
}

#[test]
fn an_end_marker_may_be_missing_but_no_data() {
    for (name, components, ..) in RECORDED {
        let bytes = file(name);
        let open = decode_embedded(&bytes[..bytes.len() - 2], components);
        let whole = decode_embedded(&bytes, components);
        // Of an arithmetic code the end of the data is not known otherwise.
        assert!(
            open == whole || name == "arithmetic.jpg" && open.is_err(),
            "{name}"
        );
        for keep in (1..20)
            .map(|part| bytes.len() * part / 20)
            .chain([bytes.len() - 3])
        {
            assert!(
                decode_embedded(&bytes[..keep], components).is_err(),
                "{name} {keep}"
            );
        }
    }
}

#[test]
fn two_components_are_kept_and_mixed_inks_refused() {
    let image = decode_embedded(&file("two_components.jpg"), Components::Stored).unwrap();
    assert_eq!(image.pixels.len(), image.height * image.width * 2);
    let error = decode_embedded(&file("ycck.jpg"), Components::Stored).unwrap_err();
    assert!(error.to_string().contains("three are YCbCr"), "{error}");
}
