//! TIFF files of every kind, written here, and what their pixels are.
#![cfg(feature = "tiff")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Write;

use proptest::prelude::*;
use simclr_data::{DecodeOptions, decode_bytes, decode_bytes_with};

const WIDTH: usize = 19;
const HEIGHT: usize = 17;

/// A TIFF file of the first page's tags and its strips or tiles.
#[derive(Clone)]
struct Tiff {
    tags: BTreeMap<u16, Vec<u64>>,
    chunks: Vec<Vec<u8>>,
    is_big_endian: bool,
    is_big: bool,
}

impl Tiff {
    /// `HEIGHT` rows of `WIDTH` pixels, as one strip of bytes.
    fn new(photometric: u64, samples: usize, bits: u64, strip: Vec<u8>) -> Self {
        let tags = [
            (256, vec![WIDTH as u64]),
            (257, vec![HEIGHT as u64]),
            (258, vec![bits; samples]),
            (262, vec![photometric]),
            (277, vec![samples as u64]),
        ];
        Self {
            tags: tags.into(),
            chunks: vec![strip],
            is_big_endian: false,
            is_big: false,
        }
    }

    fn with(mut self, tag: u16, values: impl Into<Vec<u64>>) -> Self {
        self.tags.insert(tag, values.into());
        self
    }

    fn compressed(mut self, compression: u64, compress: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        self.chunks = self.chunks.iter().map(|chunk| compress(chunk)).collect();
        self.with(259, [compression])
    }

    /// The same picture in tiles of 16 x 16, those beyond the border filled with 0xEE.
    fn tiled(mut self, planes: usize, bytes_per_pixel: usize) -> Self {
        let strip = self.chunks.concat();
        self.chunks.clear();
        for plane in strip.chunks(strip.len() / planes) {
            for (top, left) in [(0, 0), (0, 16), (16, 0), (16, 16)] {
                let mut tile = vec![0xEE; 16 * 16 * bytes_per_pixel];
                for (y, row) in (top..HEIGHT.min(top + 16)).enumerate() {
                    for (x, column) in (left..WIDTH.min(left + 16)).enumerate() {
                        let from = (row * WIDTH + column) * bytes_per_pixel;
                        let to = (y * 16 + x) * bytes_per_pixel;
                        tile[to..to + bytes_per_pixel]
                            .copy_from_slice(&plane[from..from + bytes_per_pixel]);
                    }
                }
                self.chunks.push(tile);
            }
        }
        self.with(322, [16]).with(323, [16])
    }

    fn number(&self, value: u64, bytes: usize) -> Vec<u8> {
        let mut number = value.to_le_bytes()[..bytes].to_vec();
        if self.is_big_endian {
            number.reverse();
        }
        number
    }

    fn bytes(&self) -> Vec<u8> {
        let (word, count_size) = if self.is_big { (8, 8) } else { (4, 2) };
        let mut file = if self.is_big_endian {
            b"MM".to_vec()
        } else {
            b"II".to_vec()
        };
        file.extend(self.number(if self.is_big { 43 } else { 42 }, 2));
        if self.is_big {
            file.extend([self.number(8, 2), self.number(0, 2)].concat());
        }
        let start_at = file.len();
        file.extend(self.number(0, word));
        let mut tags = self.tags.clone();
        let is_tiled = tags.contains_key(&322);
        let (offsets, counts) = if is_tiled { (324, 325) } else { (273, 279) };
        for chunk in &self.chunks {
            tags.entry(offsets).or_default().push(file.len() as u64);
            file.extend(chunk);
        }
        let lengths = self.chunks.iter().map(|chunk| chunk.len() as u64);
        tags.entry(counts).or_insert_with(|| lengths.collect());
        let mut directory = self.number(tags.len() as u64, count_size);
        for (&tag, values) in &tags {
            let is_short = values.iter().all(|&value| value < 1 << 16);
            let (kind, size) = match (is_short, self.is_big) {
                (true, _) => (3, 2),
                (false, false) => (4, 4),
                (false, true) => (16, 8),
            };
            let mut value: Vec<u8> = values
                .iter()
                .flat_map(|&value| self.number(value, size))
                .collect();
            if value.len() > word {
                let at = file.len() as u64;
                file.extend(&value);
                value = self.number(at, word);
            }
            value.resize(word, 0);
            directory.extend([self.number(tag.into(), 2), self.number(kind, 2)].concat());
            directory.extend([self.number(values.len() as u64, word), value].concat());
        }
        let start = self.number(file.len() as u64, word);
        file[start_at..start_at + word].copy_from_slice(&start);
        file.extend(directory);
        file
    }

    fn decode(&self) -> Result<Vec<u8>, String> {
        let image = decode_bytes("a.tif", &self.bytes()).map_err(|error| error.to_string())?;
        assert_eq!((image.height(), image.width()), (HEIGHT, WIDTH));
        Ok(image.into_data())
    }

    fn refusal(&self) -> String {
        self.decode().unwrap_err()
    }
}

/// Any sample of the test picture.
fn sample(pixel: usize, channel: usize) -> u8 {
    (pixel * 7 + pixel / WIDTH * 3 + channel * 50) as u8
}

/// The test picture with some channels side by side.
fn interleaved(channels: usize) -> Vec<u8> {
    let pixels = 0..WIDTH * HEIGHT;
    pixels
        .flat_map(|pixel| (0..channels).map(move |channel| sample(pixel, channel)))
        .collect()
}

/// The test picture, one channel after another.
fn planar(channels: usize) -> Vec<u8> {
    let of = |channel| (0..WIDTH * HEIGHT).map(move |pixel| sample(pixel, channel));
    (0..channels).flat_map(of).collect()
}

fn gray() -> Vec<u8> {
    interleaved(1)
        .iter()
        .flat_map(|&value| [value; 3])
        .collect()
}

type Compress = fn(&[u8]) -> Vec<u8>;

/// Bytes of a sample, little end first, that is to be decoded to a value.
type ToBytes<'a> = dyn Fn(u8) -> Vec<u8> + 'a;

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lzw(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = weezl::encode::Encoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8);
    encoder.encode(bytes).unwrap()
}

/// A frame of one raw block.
fn zstandard(bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x60];
    frame.extend((bytes.len() as u16 - 256).to_le_bytes());
    frame.extend(&(1 | (bytes.len() as u32) << 3).to_le_bytes()[..3]);
    frame.extend(bytes);
    frame
}

fn pack_bits(bytes: &[u8]) -> Vec<u8> {
    let of = |bytes: &[u8]| [&[bytes.len() as u8 - 1], bytes].concat();
    // A run of the first byte, nothing, and the rest as it is.
    let start = bytes
        .iter()
        .take_while(|&&byte| byte == bytes[0])
        .count()
        .min(128);
    let run = if start > 1 {
        vec![(1 - start as i32) as u8, bytes[0], 128]
    } else {
        vec![128]
    };
    let rest = if start > 1 { &bytes[start..] } else { bytes };
    [run, rest.chunks(128).flat_map(of).collect()].concat()
}

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
fn palettes_cmyk_and_ycbcr_become_rgb() {
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

    // Grey with the colours of red in blocks of 2 x 2 pixels, and not subsampled.
    let red = [76, 85, 255];
    let blocks = WIDTH.div_ceil(2) * HEIGHT.div_ceil(2);
    let subsampled = vec![[76, 76, 76, 76, 85, 255]; blocks].concat();
    let full = vec![red; WIDTH * HEIGHT].concat();
    for (strip, factor) in [(subsampled, 2), (full, 1)] {
        let decoded = Tiff::new(6, 3, 8, strip)
            .with(530, [factor, factor])
            .decode()
            .unwrap();
        assert!(
            decoded
                .as_chunks()
                .0
                .iter()
                .all(|pixel| *pixel == [254, 0, 0]),
            "{factor}"
        );
    }
}

/// 20 x 5 pixels, black and white.
const BILEVEL: &str = "11011011101101110110\
                       00100100010010001001\
                       01011111111111111111\
                       00100100010010001001\
                       00000000000000000000";

/// The same as libtiff compresses them, after the number of the compression and T4Options.
const CCITT: [(u64, u64, &str); 5] = [
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
        (279, vec![0], "strip 0 has no data"),
    ] {
        let text = tiff().with(tag, values).refusal();
        assert!(text.contains("this kind of TIFF is not read"), "{text}");
        assert!(text.contains(reason) && !text.contains("damaged"), "{text}");
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
        (tiny().with(277, [2]), "Rgb of 2 samples"),
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
