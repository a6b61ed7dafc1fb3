//! Codes with tests of their own: those of fax machines, and JPEG.

use crate::both_ways::decode_bytes;

use crate::file::{HEIGHT, Tiff, WIDTH, interleaved};

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

#[test]
fn jpeg_strips_are_ycbcr_or_rgb_as_the_tags_say() {
    let picture = image::RgbImage::from_raw(WIDTH as u32, HEIGHT as u32, interleaved(3)).unwrap();
    let mut jpeg = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut jpeg, image::ImageFormat::Jpeg)
        .unwrap();
    let jpeg = jpeg.into_inner();
    let expected = decode_bytes("a.jpg", &jpeg).unwrap().into_data();
    let ycbcr = Tiff::new(6, 3, 8, jpeg.clone()).with(259, [7]);
    assert!(ycbcr.decode().unwrap() == expected);
    // Without the conversion the channels stay what they are in the file, luma first.
    let raw = ycbcr.clone().with(262, [2]).decode().unwrap();
    for (&[y, cb, cr], pixel) in raw.as_chunks().0.iter().zip(expected.as_chunks::<3>().0) {
        let (y, cb, cr) = (f64::from(y), f64::from(cb) - 128.0, f64::from(cr) - 128.0);
        let rgb = [
            y + 1.402 * cr,
            y - 0.344136 * cb - 0.714136 * cr,
            y + 1.772 * cb,
        ];
        let far =
            |(value, byte): (f64, u8)| (value.clamp(0.0, 255.0) - f64::from(byte)).abs() > 1.0;
        assert!(!rgb.into_iter().zip(*pixel).any(far), "{rgb:?}: {pixel:?}");
    }
    let cut = Tiff {
        chunks: vec![jpeg[..jpeg.len() / 2].to_vec()],
        ..ycbcr
    };
    assert!(cut.refusal().contains("damaged"), "{}", cut.refusal());
}
