//! What is refused, and why.

use proptest::prelude::*;
use simclr_data::DecodeOptions;

use crate::both_ways::{decode_bytes, decode_bytes_with};

use super::compression::CCITT;
use super::file::{HEIGHT, Tiff, WIDTH, deflate, interleaved, lzw, pack_bits, planar, zstandard};

#[test]
fn what_is_not_read_is_named_and_not_called_damaged() {
    let tiff = || Tiff::new(2, 3, 8, interleaved(3));
    for (tag, values, reason) in [
        (259, vec![6], "compression 6"),
        (259, vec![34887], "LERC"),
        (259, vec![34925], "LZMA"),
        (259, vec![50001], "WebP"),
        (259, vec![33005], "JPEG 2000"),
        (259, vec![4711], "compression 4711"),
        (262, vec![8], "L*a*b*"),
        (262, vec![32803], "colour filter array"),
        (258, vec![5, 6, 5], "samples of different bits: [5, 6, 5]"),
        (339, vec![5], "complex numbers of 8 bits"),
        (273, vec![0], "strip 0 has no data"),
    ] {
        let text = tiff().with(tag, values).refusal();
        assert!(text.contains("this kind of TIFF is not read"), "{text}");
        assert!(text.contains(reason) && !text.contains("damaged"), "{text}");
    }
}

#[test]
fn grey_in_samples_that_may_be_colours_is_refused() {
    for photometric in [0, 1] {
        for samples in [3, 4] {
            let tiff = Tiff::new(photometric, samples, 8, interleaved(samples));
            let planes = Tiff::new(photometric, samples, 8, planar(samples)).with(284, [2]);
            // GDAL names what it does not know so.
            let unspecified = tiff.clone().with(338, vec![0; samples - 1]);
            for tiff in [tiff, planes.tiled(samples, 1), unspecified] {
                let text = tiff.refusal();
                let expected = format!("this kind of TIFF is not read: grey in {samples} samples");
                assert!(text.contains(&expected), "{text}");
            }
        }
    }
}

#[test]
fn checksums_of_compressed_pixels_are_compared() {
    let rgb = || Tiff::new(2, 3, 8, interleaved(3));
    let rows = Tiff {
        chunks: rgb().chunks[0]
            .chunks(WIDTH * 3)
            .map(<[u8]>::to_vec)
            .collect(),
        ..rgb().with(278, [1])
    };
    let planes = Tiff::new(2, 3, 8, planar(3)).with(284, [2]).tiled(3, 1);
    for (tiff, name) in [
        (rgb(), "strip 0"),
        (rows, "strip 16"),
        (rgb().tiled(1, 3), "tile 3"),
        (planes, "tile 11"),
    ] {
        for compression in [8, 32946] {
            let mut tiff = tiff.clone().compressed(compression, deflate);
            let whole = tiff.decode().unwrap();
            let end = tiff.chunks.last_mut().unwrap();
            let sum = end.split_off(end.len() - 4);
            // The pixels are there, and nothing says that they are others.
            assert!(tiff.decode().as_ref() == Ok(&whole), "{name}");
            let end = tiff.chunks.last_mut().unwrap();
            end.extend(sum.iter().map(|byte| byte ^ 1));
            let text = tiff.refusal();
            let expected = format!("the TIFF file is damaged: {name}: corrupt deflate stream");
            assert!(text.contains(&expected), "{text}");
        }
    }
}

#[test]
fn hostile_sizes_need_no_memory_and_are_refused() {
    let tiny = || Tiff::new(2, 3, 8, vec![7; 40]);
    for (tiff, reason) in [
        (tiny(), "strip 0: the data end early"),
        (
            tiny()
                .with(256, [u32::MAX.into()])
                .with(257, [u32::MAX.into()]),
            "too large",
        ),
        (tiny().with(256, [20_000]).with(257, [20_000]), "end early"),
        (tiny().with(256, [20_000]).with(259, [8]), "strip 0"),
        (tiny().with(322, [1 << 31]).with(323, [1 << 31]), "tiles of"),
        (tiny().with(322, [0]).with(323, [16]), "no size"),
        (tiny().with(278, [1]), "1 strips or tiles of 17"),
        (tiny().with(257, [0]), "missing"),
        (
            tiny()
                .with(277, [60_000])
                .with(256, [400_000])
                .with(257, [1]),
            "a row of it has",
        ),
        (tiny().with(277, [2]), "RGB in 2 samples"),
        (tiny().with(339, [0]), "sample format 0"),
        (
            tiny()
                .with(262, [3])
                .with(277, [0])
                .with(320, vec![7; 3 * 256]),
            "a palette's colours in 0 samples",
        ),
        (tiny().with(273, [1 << 31]), "end early"),
    ] {
        let error = decode_bytes("a.tif", &tiff.bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[test]
fn pictures_are_as_large_as_allowed() {
    let tiff = Tiff::new(2, 3, 8, interleaved(3));
    let pixels = (WIDTH * HEIGHT) as u64;
    let decode = |max_pixels| {
        let options = DecodeOptions::default().with_max_pixels(max_pixels);
        decode_bytes_with("a.tif", &tiff.bytes(), &options)
    };
    assert!(decode(pixels).is_ok());
    let text = decode(pixels - 1).unwrap_err().to_string();
    let expected = "19 x 17 are 323 pixels, and the limit (max_pixels) is 322";
    assert!(
        text.contains(expected) && !text.contains("damaged"),
        "{text}"
    );
    assert!(decode(0).unwrap_err().to_string().contains("max_pixels"));
}

/// Files of several kinds, to be damaged.
fn kinds() -> Vec<Vec<u8>> {
    let rgb = Tiff::new(2, 3, 8, interleaved(3));
    let big = Tiff {
        is_big: true,
        is_big_endian: true,
        ..rgb.clone()
    };
    let fax = Tiff::new(1, 1, 1, hex::decode(CCITT[1].2).unwrap())
        .with(259, [3])
        .with(292, [1]);
    let kinds = [
        rgb.clone().tiled(1, 3).compressed(5, lzw).with(317, [2]),
        Tiff::new(2, 4, 8, planar(4)).with(284, [2]).tiled(4, 1),
        big.compressed(32773, pack_bits),
        rgb.compressed(50000, zstandard),
        Tiff::new(6, 3, 8, interleaved(3)).with(530, [2, 2]),
        fax.with(256, [20]).with(257, [5]),
    ];
    kinds.iter().map(Tiff::bytes).collect()
}

proptest! {
    #[test]
    fn damaged_files_are_errors_and_no_panics(
        kind in 0usize..6,
        damage in prop::collection::vec((0usize..4000, any::<u8>()), 1..6),
        length in 0usize..4000,
    ) {
        let mut file = kinds().swap_remove(kind);
        // What is decoded by tags lies at the end.
        let len = file.len();
        for (at, value) in damage {
            file[len - 1 - at % len] = value;
        }
        file.truncate(if length < 2000 { len } else { len - length % len });
        let options = DecodeOptions::default().with_max_pixels(1 << 20);
        if let Err(error) = decode_bytes_with("a.tif", &file, &options) {
            prop_assert!(!error.to_string().contains("the decoder failed"), "{}", error);
        }
    }
}
