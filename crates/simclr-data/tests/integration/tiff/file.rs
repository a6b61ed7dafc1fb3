//! Files to be read, and the picture in them.

use std::collections::BTreeMap;
use std::io::Write;

use crate::both_ways::decode_bytes;

pub(crate) const WIDTH: usize = 19;
pub(crate) const HEIGHT: usize = 17;

/// A TIFF file of the first page's tags and its strips or tiles.
#[derive(Clone)]
pub(crate) struct Tiff {
    pub(crate) tags: BTreeMap<u16, Vec<u64>>,
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) is_big_endian: bool,
    pub(crate) is_big: bool,
    /// Whether numbers are of the signed types.
    pub(crate) is_signed: bool,
}

impl Tiff {
    /// `HEIGHT` rows of `WIDTH` pixels, as one strip of bytes.
    pub(crate) fn new(photometric: u64, samples: usize, bits: u64, strip: Vec<u8>) -> Self {
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
            is_signed: false,
        }
    }

    pub(crate) fn with(mut self, tag: u16, values: impl Into<Vec<u64>>) -> Self {
        self.tags.insert(tag, values.into());
        self
    }

    pub(crate) fn compressed(
        mut self,
        compression: u64,
        compress: impl Fn(&[u8]) -> Vec<u8>,
    ) -> Self {
        self.chunks = self.chunks.iter().map(|chunk| compress(chunk)).collect();
        self.with(259, [compression])
    }

    /// The same picture in tiles of 16 x 16, those beyond the border filled with 0xEE.
    pub(crate) fn tiled(mut self, planes: usize, bytes_per_pixel: usize) -> Self {
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

    pub(crate) fn bytes(&self) -> Vec<u8> {
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
            let (kind, signed_kind, size) = match (is_short, self.is_big) {
                (true, _) => (3, 8, 2),
                (false, false) => (4, 9, 4),
                (false, true) => (16, 17, 8),
            };
            let (kind, size) = match tag {
                // Fractions, each of two numbers.
                529 | 532 => (5, 4),
                _ if self.is_signed => (signed_kind, size),
                _ => (kind, size),
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
            let count = if kind == 5 {
                values.len() / 2
            } else {
                values.len()
            };
            directory.extend([self.number(count as u64, word), value].concat());
        }
        let start = self.number(file.len() as u64, word);
        file[start_at..start_at + word].copy_from_slice(&start);
        file.extend(directory);
        file
    }

    pub(crate) fn decode(&self) -> Result<Vec<u8>, String> {
        let image = decode_bytes("a.tif", &self.bytes()).map_err(|error| error.to_string())?;
        assert_eq!((image.height(), image.width()), (HEIGHT, WIDTH));
        Ok(image.into_data())
    }

    pub(crate) fn refusal(&self) -> String {
        self.decode().unwrap_err()
    }
}

/// Any sample of the test picture.
pub(crate) fn sample(pixel: usize, channel: usize) -> u8 {
    (pixel * 7 + pixel / WIDTH * 3 + channel * 50) as u8
}

/// The test picture with some channels side by side.
pub(crate) fn interleaved(channels: usize) -> Vec<u8> {
    let pixels = 0..WIDTH * HEIGHT;
    pixels
        .flat_map(|pixel| (0..channels).map(move |channel| sample(pixel, channel)))
        .collect()
}

/// The test picture, one channel after another.
pub(crate) fn planar(channels: usize) -> Vec<u8> {
    let of = |channel| (0..WIDTH * HEIGHT).map(move |pixel| sample(pixel, channel));
    (0..channels).flat_map(of).collect()
}

pub(crate) fn gray() -> Vec<u8> {
    interleaved(1)
        .iter()
        .flat_map(|&value| [value; 3])
        .collect()
}

pub(crate) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn lzw(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = weezl::encode::Encoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8);
    encoder.encode(bytes).unwrap()
}

/// A frame of one raw block.
pub(crate) fn zstandard(bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x60];
    frame.extend((bytes.len() as u16 - 256).to_le_bytes());
    frame.extend(&(1 | (bytes.len() as u32) << 3).to_le_bytes()[..3]);
    frame.extend(bytes);
    frame
}

pub(crate) fn pack_bits(bytes: &[u8]) -> Vec<u8> {
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
