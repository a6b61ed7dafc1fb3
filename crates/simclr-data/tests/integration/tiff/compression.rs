//! Codes with tests of their own: those of fax machines, and JPEG.

use std::path::Path;

use simclr_jpeg::{Components, decode_embedded};

use crate::both_ways::decode_bytes;

use super::file::{HEIGHT, Tiff, WIDTH, interleaved};

/// 20 x 5 pixels, black and white.
const BILEVEL: &str = "11011011101101110110\
                       00100100010010001001\
                       01011111111111111111\
                       00100100010010001001\
                       00000000000000000000";

/// The same as libtiff compresses them, after the number of the compression and T4Options.
pub(crate) const CCITT: [(u64, u64, &str); 5] = [
    (
        3,
        0,
        "00135c7c787c787c700174ea13a84e8004743830002e9d427509d00088",
    ),
    (
        3,
        1,
        "0019ae3e3c3e3c3e3800830902412048250018e87060004ca72a0a72a012800c40",
    ),
    (
        3,
        4,
        "000135c7c787c787c7000174ea13a84e80011d0e0c000174ea13a84e800110",
    ),
    (
        4,
        0,
        "26b91f23c47c8f0250c2409048120952084446ca72a0a72a01288888b0010010",
    ),
    (2, 0, "35c7c787c787c774ea13a84e801d0e0c0074ea13a84e8010"),
];

#[test]
fn ccitt_codes_are_read() {
    for (compression, options, hex) in CCITT {
        let data = hex::decode(hex).unwrap();
        let mut tiff = Tiff::new(1, 1, 1, data)
            .with(259, [compression])
            .with(292, [options]);
        tiff = tiff.with(256, [20]).with(257, [5]);
        let image = decode_bytes("fax.tif", &tiff.bytes()).unwrap();
        let pixels = image
            .data()
            .as_chunks::<3>()
            .0
            .iter()
            .map(|pixel| match pixel {
                [0, 0, 0] => '0',
                [255, 255, 255] => '1',
                _ => '?',
            });
        assert_eq!(
            pixels.collect::<String>(),
            BILEVEL,
            "{compression}, {options}"
        );
        let cut = Tiff {
            chunks: vec![tiff.chunks[0][..3].to_vec()],
            ..tiff
        };
        let error = decode_bytes("fax.tif", &cut.bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains("ends early"), "{error}");
    }
}

/// The test picture as a file of JPEG, whose first segment is JFIF's.
fn jpeg() -> Vec<u8> {
    let picture = image::RgbImage::from_raw(WIDTH as u32, HEIGHT as u32, interleaved(3)).unwrap();
    let mut jpeg = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut jpeg, image::ImageFormat::Jpeg)
        .unwrap();
    jpeg.into_inner()
}

fn embedded(jpeg: &[u8], components: Components) -> Vec<u8> {
    decode_embedded(jpeg, components).unwrap().pixels
}

#[test]
fn jpeg_strips_are_ycbcr_or_rgb_as_tags_and_markers_say() {
    let jpeg = jpeg();
    assert_eq!(jpeg[2..4], [0xFF, 0xE0]);
    let unmarked = [&jpeg[..2], &jpeg[20..]].concat();
    let converted = embedded(&jpeg, Components::YCbCr);
    let raw = embedded(&jpeg, Components::Stored);
    for (photometric, jpeg, expected) in [
        (6, &jpeg, &converted),
        (6, &unmarked, &converted),
        (2, &jpeg, &converted),
        // As libtiff writes RGB.
        (2, &unmarked, &raw),
    ] {
        let tiff = Tiff::new(photometric, 3, 8, jpeg.clone()).with(259, [7]);
        assert!(&tiff.decode().unwrap() == expected, "{photometric}");
        let cut = Tiff {
            chunks: vec![jpeg[..jpeg.len() / 2].to_vec()],
            ..tiff
        };
        assert!(cut.refusal().contains("damaged"), "{}", cut.refusal());
    }
    let gray = Tiff::new(1, 1, 8, jpeg).with(259, [7]).refusal();
    assert!(gray.contains("3 components, where 19 x 17 of 1"), "{gray}");
}

#[test]
fn jpeg_strips_of_two_and_four_samples_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../simclr-jpeg/tests/data");
    for (name, photometric, samples) in [
        ("two_components.jpg", 1, 2),
        ("cmyk_bare.jpg", 2, 4),
        ("cmyk_bare.jpg", 5, 4),
    ] {
        let jpeg = std::fs::read(folder.join(name)).unwrap();
        let image = decode_embedded(&jpeg, Components::Stored).unwrap();
        let of_samples = |strip: Vec<u8>| {
            let tiff = Tiff::new(photometric, samples, 8, strip);
            let tiff = tiff.with(256, [image.width as u64]);
            tiff.with(257, [image.height as u64])
        };
        let decoded = |tiff: Tiff| decode_bytes("a.tif", &tiff.bytes()).unwrap();
        let expected = decoded(of_samples(image.pixels.clone()));
        assert_eq!(decoded(of_samples(jpeg).with(259, [7])), expected, "{name}");
    }
}
