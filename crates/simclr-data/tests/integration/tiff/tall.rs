//! Pictures of more rows than are decoded at a time.

use super::file::{Tiff, deflate, lzw, pack_bits};
use crate::both_ways::decode_bytes;

const TALL: usize = 333;
const WIDE: usize = 75;

fn pixels() -> Vec<u8> {
    let values = 0..TALL * WIDE * 3;
    let value = |i: usize| (i * 7 + i / (3 * WIDE) * 5) as u8 ^ ((i * i) >> 7) as u8;
    values.map(value).collect()
}

/// Strips of so many rows.
fn strips(rows: usize) -> Tiff {
    let pixels = pixels();
    let mut tiff = Tiff::new(2, 3, 8, Vec::new())
        .with(256, [WIDE as u64])
        .with(257, [TALL as u64])
        .with(278, [rows as u64]);
    let chunks = pixels.chunks(rows * WIDE * 3);
    tiff.chunks = chunks.map(<[u8]>::to_vec).collect();
    tiff
}

/// Tiles, those beyond the border filled with 0xEE.
fn tiles(height: usize, width: usize) -> Tiff {
    let pixels = pixels();
    let mut tiff = strips(1)
        .with(322, [width as u64])
        .with(323, [height as u64]);
    tiff.tags.remove(&278);
    tiff.chunks.clear();
    for top in (0..TALL).step_by(height) {
        for left in (0..WIDE).step_by(width) {
            let mut tile = vec![0xEE; height * width * 3];
            let columns = width.min(WIDE - left) * 3;
            for row in top..TALL.min(top + height) {
                let from = (row * WIDE + left) * 3;
                tile[(row - top) * width * 3..][..columns]
                    .copy_from_slice(&pixels[from..from + columns]);
            }
            tiff.chunks.push(tile);
        }
    }
    tiff
}

/// The differences to the pixel to the left.
fn predicted(mut tiff: Tiff, width: usize) -> Tiff {
    for row in tiff
        .chunks
        .iter_mut()
        .flat_map(|chunk| chunk.chunks_mut(width * 3))
    {
        for at in (3..row.len()).rev() {
            row[at] = row[at].wrapping_sub(row[at - 3]);
        }
    }
    tiff.with(317, [2])
}

#[test]
fn strips_and_tiles_of_any_height_give_the_same_pixels() {
    let layouts = [
        (strips(TALL), WIDE),
        (strips(100), WIDE),
        (strips(1), WIDE),
        (tiles(112, 80), 80),
        (tiles(352, 80), 80),
        (tiles(96, 32), 32),
    ];
    for (number, (plain, width)) in layouts.into_iter().enumerate() {
        let big = Tiff {
            is_big: true,
            ..plain.clone()
        };
        for (kind, tiff) in [
            ("plain", plain.clone()),
            ("BigTIFF", big.clone()),
            ("LZW", plain.clone().compressed(5, lzw)),
            ("PackBits", plain.clone().compressed(32773, pack_bits)),
            ("deflate", predicted(big, width).compressed(8, deflate)),
            ("LZW, predicted", predicted(plain, width).compressed(5, lzw)),
        ] {
            let file = tiff.bytes();
            let image = decode_bytes("tall.tif", &file).unwrap();
            assert!(image.data() == pixels(), "layout {number}, {kind}");
            // Strips and tiles that end early, and a file without its directory, which stands at the end.
            let cut = Tiff {
                chunks: tiff
                    .chunks
                    .iter()
                    .map(|chunk| chunk[..chunk.len() * 9 / 10].to_vec())
                    .collect(),
                ..tiff
            };
            assert!(
                decode_bytes("cut.tif", &cut.bytes()).is_err(),
                "layout {number}, {kind}"
            );
            assert!(decode_bytes("cut.tif", &file[..file.len() / 2]).is_err());
        }
    }
}
