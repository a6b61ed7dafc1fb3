//! Where samples are, and which bytes become of them.

use super::file::{
    HEIGHT, Tiff, WIDTH, deflate, gray, interleaved, lzw, pack_bits, planar, sample, zstandard,
};

type Compress = fn(&[u8]) -> Vec<u8>;

/// Bytes of a sample, little end first, that is to be decoded to a value.
type ToBytes<'a> = dyn Fn(u8) -> Vec<u8> + 'a;

/// Differences from the pixel to the left, of rows of some width.
fn differences(bytes: &[u8], width: usize, channels: usize) -> Vec<u8> {
    let row = |row: &[u8]| {
        let left = |at: usize| if at < channels { 0 } else { row[at - channels] };
        (0..row.len())
            .map(|at| row[at].wrapping_sub(left(at)))
            .collect::<Vec<_>>()
    };
    bytes.chunks(width * channels).flat_map(row).collect()
}

#[test]
fn strips_tiles_planes_and_further_samples_are_read() {
    for channels in [3, 4, 6] {
        let rgb = Tiff::new(2, channels, 8, interleaved(channels)).with(338, vec![0; channels - 3]);
        let planes = Tiff::new(2, channels, 8, planar(channels)).with(284, [2]);
        let strips = Tiff {
            chunks: planes.chunks[0]
                .chunks(WIDTH * 5)
                .map(<[u8]>::to_vec)
                .collect(),
            ..planes.clone()
        };
        // HEIGHT is no multiple of 5, so each plane has a shorter strip.
        let strips = Tiff {
            chunks: planar(channels)
                .chunks(WIDTH * HEIGHT)
                .flat_map(|plane| plane.chunks(WIDTH * 5).map(<[u8]>::to_vec))
                .collect(),
            ..strips
        };
        for (kind, tiff) in [
            ("strip", rgb.clone()),
            ("tiles", rgb.clone().tiled(1, channels)),
            ("planes", strips.with(278, [5])),
            ("tiled planes", planes.tiled(channels, 1)),
        ] {
            let compressions: [(u64, Compress); 6] = [
                (1, <[u8]>::to_vec),
                (5, lzw),
                (8, deflate),
                (32946, deflate),
                (32773, pack_bits),
                (50000, zstandard),
            ];
            for (compression, compress) in compressions {
                // Zstandard's frame above is for 256 bytes and more.
                if compression == 50000 && tiff.chunks.iter().any(|chunk| chunk.len() < 256) {
                    continue;
                }
                let tiff = tiff.clone().compressed(compression, compress);
                let right = tiff.decode().unwrap() == interleaved(3);
                assert!(
                    right,
                    "{kind}, {channels} channels, compression {compression}"
                );
                let reversed =
                    |bytes: &[u8]| bytes.iter().map(|byte| byte.reverse_bits()).collect();
                let tiff = tiff.compressed(compression, reversed).with(266, [2]);
                assert!(
                    tiff.decode().unwrap() == interleaved(3),
                    "{kind}, reversed bits"
                );
            }
        }
    }
}

#[test]
fn strips_without_right_sizes_go_on_to_the_next_thing_in_the_file() {
    let whole = Tiff::new(2, 3, 8, interleaved(3));
    let strips = Tiff {
        chunks: whole.chunks[0]
            .chunks(WIDTH * 3 * 2)
            .map(<[u8]>::to_vec)
            .collect(),
        ..whole.clone()
    };
    let strips = strips.with(278, [2]);
    for (name, tiff) in [
        ("one count of 0", whole.clone().with(279, [0])),
        ("one count too small", whole.clone().with(279, [100])),
        (
            "compressed",
            whole.clone().compressed(5, lzw).with(279, [0]),
        ),
        ("no count", whole.clone().with(279, [])),
        ("counts of 0", strips.clone().with(279, [0; 9])),
        ("one count for all", strips.clone().with(279, [969])),
        (
            "one too small count for all",
            strips.clone().with(279, [114]),
        ),
        (
            "compressed strips",
            strips.clone().compressed(5, lzw).with(279, [969]),
        ),
    ] {
        assert!(tiff.decode().as_ref() == Ok(&interleaved(3)), "{name}");
    }
    // What the next strip, a tag's value or the directory holds is no part of it.
    let mut short = strips;
    short.chunks[4].pop();
    let mut last = whole;
    last.chunks[0].pop();
    for tiff in [short.with(279, [0; 9]), last.with(279, [968])] {
        assert!(
            tiff.refusal().contains("the data end early"),
            "{}",
            tiff.refusal()
        );
    }
}

#[test]
fn numbers_of_signed_types_are_read_if_they_are_not_negative() {
    for (is_big, is_big_endian) in [(false, false), (false, true), (true, false)] {
        let mut tiff = Tiff::new(2, 3, 8, interleaved(3));
        (tiff.is_signed, tiff.is_big, tiff.is_big_endian) = (true, is_big, is_big_endian);
        assert!(tiff.decode().as_ref() == Ok(&interleaved(3)));
        let text = tiff.with(278, [0xFFFF]).refusal();
        assert!(text.contains("tag 278 has a number below 0"), "{text}");
    }
}

#[test]
fn predictors_are_undone_in_strips_and_tiles() {
    for channels in [3, 4] {
        let strip = differences(&interleaved(channels), WIDTH, channels);
        let strip = Tiff::new(2, channels, 8, strip);
        let tiles = Tiff::new(2, channels, 8, interleaved(channels)).tiled(1, channels);
        let tiles = tiles.compressed(1, |tile| differences(tile, 16, channels));
        for tiff in [strip, tiles] {
            let tiff = tiff.compressed(5, lzw).with(317, [2]);
            assert!(tiff.decode().unwrap() == interleaved(3), "{channels}");
        }
    }
    // Of 16 bits in both byte orders, where a carry goes from byte to byte.
    for is_big_endian in [false, true] {
        let words = interleaved(1)
            .into_iter()
            .map(|value| u16::from(value) * 257);
        let words: Vec<u16> = words.collect();
        let differences = words.chunks(WIDTH).flat_map(|row| {
            let left = |at: usize| if at == 0 { 0 } else { row[at - 1] };
            (0..WIDTH)
                .map(|at| row[at].wrapping_sub(left(at)))
                .collect::<Vec<_>>()
        });
        let bytes = differences.flat_map(|word| match is_big_endian {
            true => word.to_be_bytes(),
            false => word.to_le_bytes(),
        });
        let tiff = Tiff::new(1, 1, 16, bytes.collect())
            .compressed(8, deflate)
            .with(317, [2]);
        let tiff = Tiff {
            is_big_endian,
            ..tiff
        };
        assert!(tiff.decode().unwrap() == gray(), "{is_big_endian}");
    }
    // Floating point: the bytes of a row by significance, and their differences.
    let rows = interleaved(1);
    let rows = rows.chunks(WIDTH).flat_map(|row| {
        let numbers = row
            .iter()
            .map(|&value| (f32::from(value) / 255.0).to_be_bytes());
        let numbers: Vec<_> = numbers.collect();
        let planes = (0..4).flat_map(|byte| numbers.iter().map(move |number| number[byte]));
        differences(&planes.collect::<Vec<_>>(), 4 * WIDTH, 1)
    });
    let tiff = Tiff::new(1, 1, 32, rows.collect()).with(339, [3]);
    assert!(tiff.compressed(8, deflate).with(317, [3]).decode().unwrap() == gray());
}

#[test]
fn numbers_of_every_type_become_bytes() {
    let values = interleaved(1);
    let both = |convert: &ToBytes| {
        let little: Vec<Vec<u8>> = values.iter().map(|&value| convert(value)).collect();
        let big = little.iter().flat_map(|bytes| bytes.iter().rev().copied());
        (little.concat(), big.collect::<Vec<u8>>())
    };
    let unit = |value: u8| f64::from(value) / 255.0;
    let half = |value: u8| half::f16::from_f64(unit(value)).to_bits();
    let types: [(u64, u64, &ToBytes<'_>); 10] = [
        (1, 8, &|value| vec![value]),
        // Of whole numbers, the upper eight bits count, whatever is below them.
        (1, 16, &|value| vec![0xFF, value]),
        (1, 24, &|value| vec![0xFF, 0xFF, value]),
        (1, 32, &|value| vec![0xFF, 0xFF, 0xFF, value]),
        (1, 64, &|value| [vec![0xFF; 7], vec![value]].concat()),
        (2, 16, &|value| (i16::from(value) << 7).to_le_bytes().into()),
        (2, 32, &|value| {
            (i32::from(value) << 23).to_le_bytes().into()
        }),
        (3, 16, &|value| half(value).to_le_bytes().into()),
        (3, 32, &|value| (unit(value) as f32).to_le_bytes().into()),
        (3, 64, &|value| unit(value).to_le_bytes().into()),
    ];
    for (format, bits, convert) in types {
        let (little, big) = both(convert);
        let tiff = Tiff::new(1, 1, bits, little).with(339, [format]);
        assert!(tiff.decode().unwrap() == gray(), "{format}, {bits} bits");
        let inverted = tiff.clone().with(262, [0]).decode().unwrap();
        assert!(
            inverted.iter().zip(gray()).all(|(a, b)| a + b == 255),
            "{format}, {bits}"
        );
        let tiff = Tiff {
            chunks: vec![big],
            is_big_endian: true,
            ..tiff
        };
        assert!(
            tiff.decode().unwrap() == gray(),
            "{format}, {bits} bits, big endian"
        );
        let big = Tiff {
            is_big: true,
            ..tiff
        };
        assert!(
            big.decode().unwrap() == gray(),
            "{format}, {bits} bits, BigTIFF"
        );
    }
    let refused = [
        (
            3,
            32,
            1.5f32.to_le_bytes(),
            "floating point numbers outside of 0 to 1, such as 1.5",
        ),
        (3, 32, (-0.5f32).to_le_bytes(), "such as -0.5"),
        (3, 32, f32::NAN.to_le_bytes(), "such as NaN"),
        (2, 32, (-3i32).to_le_bytes(), "signed integers below 0"),
    ];
    for (format, bits, bytes, reason) in refused {
        let mut strip = vec![0; WIDTH * HEIGHT * 4];
        strip[400..404].copy_from_slice(&bytes);
        let text = Tiff::new(1, 1, bits, strip).with(339, [format]).refusal();
        assert!(text.contains(reason) && !text.contains("damaged"), "{text}");
    }
}

/// Numbers of some bits side by side, each row beginning with a byte.
fn packed(bits: usize, value: impl Fn(usize) -> u32) -> Vec<u8> {
    let row = |row: usize| {
        let mut bytes = vec![0u8; (WIDTH * bits).div_ceil(8)];
        for bit in 0..WIDTH * bits {
            let number = value(row * WIDTH + bit / bits);
            let is_set = number >> (bits - 1 - bit % bits) & 1;
            bytes[bit / 8] |= (is_set as u8) << (7 - bit % 8);
        }
        bytes
    };
    (0..HEIGHT).flat_map(row).collect()
}

#[test]
fn numbers_of_few_and_odd_bits_are_unpacked() {
    for bits in [1, 2, 3, 4, 6, 10, 12, 14] {
        let value = |pixel| (u32::from(sample(pixel, 0)) * 0x101) >> (16 - bits);
        let byte = |pixel| match bits {
            0..8 => value(pixel) * 255 / ((1 << bits) - 1),
            _ => value(pixel) >> (bits - 8),
        };
        let expected = (0..WIDTH * HEIGHT).flat_map(|pixel| [byte(pixel) as u8; 3]);
        let tiff = Tiff::new(1, 1, bits as u64, packed(bits, value));
        assert!(
            tiff.decode().unwrap() == expected.collect::<Vec<_>>(),
            "{bits} bits"
        );
    }
}

#[test]
fn palettes_and_cmyk_become_rgb() {
    for bits in [2, 4, 8] {
        let count = 1 << bits;
        let color = |index: usize, channel: usize| (index * 5 + channel * 70) as u8;
        let index = |pixel: usize| usize::from(sample(pixel, 0)) % count;
        let expected: Vec<u8> = (0..WIDTH * HEIGHT)
            .flat_map(|pixel| [0, 1, 2].map(|channel| color(index(pixel), channel)))
            .collect();
        // As 16 bits, as the upper byte alone, and as bytes, which some writers give.
        for scale in [257, 256, 1] {
            let map = (0..3).flat_map(|channel| {
                (0..count).map(move |index| u64::from(color(index, channel)) * scale)
            });
            let strip = packed(bits, |pixel| index(pixel) as u32);
            let tiff = Tiff::new(3, 1, bits as u64, strip).with(320, map.collect::<Vec<_>>());
            assert!(
                tiff.decode().unwrap() == expected,
                "{bits} bits, times {scale}"
            );
        }
    }

    // No ink, all black, pure cyan, and a mixture.
    let inks = [
        [0, 0, 0, 0],
        [0, 0, 0, 255],
        [255, 0, 0, 0],
        [100, 50, 0, 128],
    ];
    let expected = [[255; 3], [0; 3], [0, 255, 255], [77, 102, 127]];
    let pixels = (0..WIDTH * HEIGHT).flat_map(|pixel| inks[pixel % 4]);
    let decoded = Tiff::new(5, 4, 8, pixels.collect()).decode().unwrap();
    assert_eq!(decoded[..12], *expected.as_flattened());
}
