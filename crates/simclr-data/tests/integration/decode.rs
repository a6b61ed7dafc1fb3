//! Image files other than TIFF: which kinds are read, and which are refused rather than guessed.
#![allow(clippy::unwrap_used)]

use std::io::Cursor;

use image::{DynamicImage, ImageBuffer, ImageFormat, Rgb, RgbImage};
use simclr_data::DecodeOptions;

use crate::both_ways::{decode_bytes, decode_bytes_with};

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([x * 40, y * 50, x * y * 9].map(|v| v as u8))
    })
}

fn pixels(bytes: &[u8]) -> Vec<u8> {
    decode_bytes("a", bytes).unwrap().into_data()
}

fn refusal(bytes: &[u8]) -> String {
    decode_bytes("a", bytes).unwrap_err().to_string()
}

#[test]
fn sixteen_bits_of_png_lose_their_lower_byte() {
    let values = [0x00FF, 0x80FF, 0xFFFF];
    let deep = ImageBuffer::<Rgb<u16>, _>::from_pixel(1, 1, Rgb(values));
    assert_eq!(pixels(&encoded(deep, ImageFormat::Png)), [0, 0x80, 0xFF]);
}

#[test]
fn no_part_of_a_file_is_taken_for_the_whole() {
    let formats = [
        ImageFormat::Png,
        ImageFormat::WebP,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
    ];
    for format in formats {
        let whole = encoded(picture(7, 5), format);
        assert_eq!(pixels(&whole), picture(7, 5).into_raw(), "{format:?}");
        // The last four bytes of this TIFF say that there is no second page.
        let needed = whole.len() - if format == ImageFormat::Tiff { 4 } else { 0 };
        for length in 0..needed {
            let part = decode_bytes("a", &whole[..length]);
            assert!(part.is_err(), "{format:?}: {length} of {needed} bytes");
        }
    }
}

/// A bitmap of 4 x 2 pixels with a header of any length, a palette and data.
fn bmp(header_size: usize, bits: u16, compression: u32, palette: &[u8], data: &[u8]) -> Vec<u8> {
    let mut header = (header_size as u32).to_le_bytes().to_vec();
    if header_size == 12 {
        header.extend([4, 0, 2, 0, 1, 0]);
    } else {
        header.extend([4, 0, 0, 0, 2, 0, 0, 0, 1, 0]);
    }
    header.extend(bits.to_le_bytes());
    header.extend(compression.to_le_bytes());
    header.resize(header_size, 0);
    let start = 14 + header_size + palette.len();
    let mut file = b"BM\0\0\0\0\0\0\0\0".to_vec();
    file.extend((start as u32).to_le_bytes());
    [&file, &header, palette, data].concat()
}

#[test]
fn bitmaps_of_os2_are_read() {
    let rows: [[u8; 12]; 2] = [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], [0; 12]];
    // From below, and blue first.
    let expected = [[0; 12], [3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10]].concat();
    for header in [12, 16, 40, 64] {
        let file = bmp(header, 24, 0, &[], rows.as_flattened());
        assert_eq!(pixels(&file), expected, "a header of {header} bytes");
    }
    let colors = [[1, 2, 3, 0], [4, 5, 6, 0]].concat();
    for header in [16, 40, 64] {
        let palette = [colors.clone(), vec![0; 254 * 4]].concat();
        let file = bmp(header, 8, 0, &palette, &[0, 1, 0, 1, 1, 1, 0, 0]);
        let expected = [1, 1, 0, 0, 0, 1, 0, 1].map(|i| [[3, 2, 1], [6, 5, 4]][i]);
        assert_eq!(
            pixels(&file),
            expected.concat(),
            "a header of {header} bytes"
        );
    }
}

#[test]
fn bitmaps_are_read_whose_headers_leave_fields_out() {
    let rows = [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], [0; 12]].concat();
    let palette = [[1, 2, 3, 0], [4, 5, 6, 0]].concat();
    let palette = [palette, vec![0; 254 * 4]].concat();
    let indices = [0, 1, 0, 1, 1, 1, 0, 0];
    let masks: Vec<u8> = [0xFFu32 << 16, 0xFF << 8, 0xFF, 0xFF << 24]
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .collect();
    let deep: Vec<u8> = (0..32).collect();
    // The masks of alpha bit fields are those of the image crate's bit fields, and one more.
    let expected = pixels(&bmp(40, 32, 3, &masks[..12], &deep));
    let alpha = bmp(40, 32, 6, &masks, &deep);
    assert_eq!(pixels(&alpha), expected);
    for whole in [
        bmp(12, 24, 0, &[], &rows),
        bmp(16, 24, 0, &[], &rows),
        bmp(40, 24, 0, &[], &rows),
        bmp(64, 8, 0, &palette, &indices),
        bmp(40, 8, 0, &palette, &indices),
        bmp(40, 32, 3, &masks[..12], &deep),
        alpha,
    ] {
        let (mut unplaced, mut planeless) = (whole.clone(), whole.clone());
        unplaced[10..14].fill(0);
        let planes = if whole[14] == 12 { 22 } else { 26 };
        planeless[planes] = 0;
        assert_eq!(pixels(&unplaced), pixels(&whole));
        assert_eq!(pixels(&planeless), pixels(&whole));
    }
    for (at, value, reason) in [
        (18, 0u32, "0 x 2"),
        (22, 0, "4 x 0"),
        (18, 0xFFFF_FFFC, "-4 x 2"),
    ] {
        let mut file = bmp(40, 24, 0, &[], &rows);
        file[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let text = refusal(&file);
        assert!(text.contains(&format!("says {reason} pixels")), "{text}");
    }
}

#[test]
fn run_lengths_have_to_cover_the_bitmap() {
    let palette = [[1, 1, 1, 0], [2, 2, 2, 0]].concat();
    let palette = [palette, vec![0; 254 * 4]].concat();
    let whole = bmp(40, 8, 1, &palette, &[4, 1, 0, 0, 0, 4, 0, 1, 1, 0, 0, 1]);
    let expected = [0, 1, 1, 0, 1, 1, 1, 1]
        .map(|i| [[1; 3], [2; 3]][i])
        .concat();
    assert_eq!(pixels(&whole), expected);

    let part = bmp(40, 8, 1, &palette, &[4, 1, 0, 0, 2, 1, 0, 1]);
    assert!(
        refusal(&part).contains("holds 6 of 8 pixels"),
        "{}",
        refusal(&part)
    );
    // Pixels that are jumped over have no colour.
    let jump = bmp(40, 8, 1, &palette, &[4, 1, 0, 0, 0, 2, 2, 0, 2, 1, 0, 1]);
    assert!(
        refusal(&jump).contains("holds 6 of 8 pixels"),
        "{}",
        refusal(&jump)
    );
    let mut large = whole;
    for at in [18, 22] {
        large[at..at + 4].copy_from_slice(&13_000u32.to_le_bytes());
    }
    assert!(
        refusal(&large).contains("of 169000000 pixels"),
        "{}",
        refusal(&large)
    );
    for (compression, bits) in [(4, 24), (5, 24), (0, 64)] {
        let text = refusal(&bmp(40, bits, compression, &palette, &[0; 64]));
        assert!(text.contains("this kind of BMP is not read"), "{text}");
    }
}

/// `picture(7, 5)` as OpenJPEG writes it without loss.
#[cfg(feature = "jpeg2000")]
const JPEG_2000: &str = "ff4fff51002f000000000007000000050000000000000000000000070000000500000000000000000003070101\
     070101070101ff52000c00000001000004040001ff5c00044040ff640025000143726561746564206279204f70\
     656e4a5045472076657273696f6e20322e352e34ff90000a0000000000660001ff93df80a011682bc23b9ad778\
     6f1975b3464bd8c32587cc26df80d0128c4373d08fdfe879c520842a30ed28ca8eb13004a000a7ff7fdf810811\
     507233f2353219e504baf8758bc9fcc4d2c888d5839cc3434c4260e2fe9c707fffd9";

#[cfg(feature = "jpeg2000")]
#[test]
fn jpeg_2000_is_read() {
    let file = hex::decode(JPEG_2000).unwrap();
    assert_eq!(pixels(&file), picture(7, 5).into_raw());
    for length in 0..file.len() - 2 {
        assert!(
            decode_bytes("a", &file[..length]).is_err(),
            "{length} of {}",
            file.len()
        );
    }
}

/// A file of boxes around the code stream, which say that the picture has so many columns.
/// 7 x 5 grey values of 16 bits: 200, and each 1871 more than the one before.
#[cfg(feature = "jpeg2000")]
const JPEG_2000_OF_16_BITS: &str = "ff4fff5100290000000000070000000500000000000000000000000700000005000000000000000000010f0101ff\
     52000c00000001000004040001ff5c00044080ff640025000143726561746564206279204f70656e4a5045472076\
     657273696f6e20322e352e34ff90000a0000000000580001ff93cffc311810dbb02f1190b5db4bb2b0f64ac19939\
     3179a95db9ce3df298a9c8b931dd5d53da163525d5b4e36d6f9555c207e7c7713ad8fefe8a2a696302b423bcab61\
     63fe93e16e62258fffd9";

#[cfg(feature = "jpeg2000")]
#[test]
fn of_16_bits_in_jpeg_2000_the_upper_eight_count() {
    let file = hex::decode(JPEG_2000_OF_16_BITS).unwrap();
    let expected = (0..35).flat_map(|index| [((200 + 1871 * index) >> 8) as u8; 3]);
    assert_eq!(pixels(&file), expected.collect::<Vec<_>>());
}

#[cfg(feature = "jpeg2000")]
fn jp2(stream: &[u8], columns: u8) -> Vec<u8> {
    let boxed = |kind: &[u8], content: &[u8]| {
        let length = (content.len() as u32 + 8).to_be_bytes();
        [&length, kind, content].concat()
    };
    let header = [0, 0, 0, 5, 0, 0, 0, columns, 0, 3, 7, 7, 0, 0];
    let color = [1, 0, 0, 0, 0, 0, 16];
    let header = [boxed(b"ihdr", &header), boxed(b"colr", &color)].concat();
    [
        boxed(b"jP  ", b"\r\n\x87\n"),
        boxed(b"ftyp", b"jp2 \0\0\0\0jp2 "),
        boxed(b"jp2h", &header),
        boxed(b"jp2c", stream),
    ]
    .concat()
}

#[cfg(feature = "jpeg2000")]
#[test]
fn tiles_that_a_jpeg_2000_file_lacks_are_not_made_up() {
    let stream = hex::decode(JPEG_2000).unwrap();
    let with = |at: usize, values: &[u32]| {
        let mut file = stream.clone();
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_be_bytes())
            .collect();
        file[at..at + bytes.len()].copy_from_slice(&bytes);
        file
    };
    // Bytes behind the last box are none of the file.
    let boxes = jp2(&stream, 7);
    for end in [&b""[..], b"\0", b"\0\0\0\0\0", b"trailing bytes"] {
        assert_eq!(pixels(&[&boxes, end].concat()), picture(7, 5).into_raw());
    }
    let start = stream
        .windows(2)
        .position(|pair| pair == b"\xFF\x90")
        .unwrap();
    let mut two_parts = stream.clone();
    two_parts[start + 11] = 2;
    for (file, reason) in [
        (with(24, &[4]), "tile 1 of 2 has 0 parts of 1"),
        (with(24, &[0]), "tiles have no size"),
        (two_parts, "tile 0 of 1 has 1 parts of 2"),
        (
            with(8, &[22_000, 22_000, 0, 0, 1, 1]),
            "cannot hold its 484000000 tiles",
        ),
        (
            jp2(&stream, 8),
            "says 8 x 5 pixels, its code stream (marker SIZ) 7 x 5",
        ),
        (jp2(&with(24, &[4]), 7), "tile 1 of 2"),
        (jp2(&stream, 7)[..78].to_vec(), "no code stream"),
    ] {
        let text = refusal(&file);
        assert!(text.contains(reason), "{reason}: {text}");
    }
}

#[test]
fn pictures_are_as_large_as_allowed_in_every_format() {
    let options = DecodeOptions::default().with_max_pixels(34);
    for format in [
        ImageFormat::Png,
        ImageFormat::WebP,
        ImageFormat::Bmp,
        ImageFormat::Jpeg,
    ] {
        let file = encoded(picture(7, 5), format);
        let text = decode_bytes_with("a", &file, &options)
            .unwrap_err()
            .to_string();
        assert!(text.contains("7 x 5 are 35 pixels"), "{format:?}: {text}");
        assert!(
            text.contains("max_pixels") && !text.contains("damaged"),
            "{text}"
        );
    }
}

/// A JPEG file with the orientation in an EXIF segment.
fn oriented(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], b"\xFF\xE1", &length, &exif, &jpeg[2..]].concat()
}

/// EXIF data of an orientation, 6, other entries of 12 bytes, and an end.
fn exif(entries: &[[u8; 12]], end: &[u8]) -> Vec<u8> {
    let orientation = [0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0];
    let entries = [&[orientation], entries].concat();
    let start = [b"II*\0\x08\0\0\0", &[entries.len() as u8, 0][..]].concat();
    [&start, entries.as_flattened(), end].concat()
}

#[test]
fn flaws_elsewhere_in_exif_data_do_not_keep_a_picture_from_being_turned() {
    let entry = |tag: u16, kind: u8, count: u8, value: u32| {
        let ([low, high], value) = (tag.to_le_bytes(), value.to_le_bytes());
        let [a, b, c, d] = value;
        [low, high, kind, 0, count, 0, 0, 0, a, b, c, d]
    };
    let jpeg = encoded(picture(7, 5), ImageFormat::Jpeg);
    let options = DecodeOptions::default().with_apply_orientation(true);
    let expected = decode_bytes_with("a", &oriented(&jpeg, 6), &options).unwrap();
    for (name, data) in [
        ("next directory outside", exif(&[], &[0xFF, 0xFF, 0xFF, 0])),
        ("next directory is itself", exif(&[], &[8, 0, 0, 0])),
        ("no next directory", exif(&[], &[])),
        (
            "value outside",
            exif(&[entry(271, 2, 100, 0xFFFF)], &[0; 4]),
        ),
        (
            "EXIF outside",
            exif(&[entry(0x8769, 4, 1, 0xFFFF)], &[0; 4]),
        ),
        ("EXIF is itself", exif(&[entry(0x8769, 4, 1, 8)], &[0; 4])),
        ("GPS outside", exif(&[entry(0x8825, 4, 1, 0xFFFF)], &[0; 4])),
    ] {
        let length = (data.len() as u16 + 8).to_be_bytes();
        let file = [
            &jpeg[..2],
            b"\xFF\xE1",
            &length,
            b"Exif\0\0",
            &data,
            &jpeg[2..],
        ]
        .concat();
        assert_eq!(
            decode_bytes_with("a", &file, &options).unwrap(),
            expected,
            "{name}"
        );
    }
    // A PNG file with the data as JPEG files have them.
    let png = encoded(picture(7, 5), ImageFormat::Png);
    for prefix in [&b""[..], b"Exif\0\0"] {
        let data = [prefix, &exif(&[], &[0; 4])].concat();
        // Behind the signature and the header.
        let file = [&png[..33], &chunk(b"eXIf", &data), &png[33..]].concat();
        let turned = decode_bytes_with("a", &file, &options).unwrap();
        assert_eq!((turned.height(), turned.width()), (7, 5), "{prefix:?}");
    }
}

/// A chunk of a PNG file.
fn chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
    let mut sum = flate2::Crc::new();
    sum.update(&[kind, data].concat());
    let length = (data.len() as u32).to_be_bytes();
    [&length, kind, data, &sum.sum().to_be_bytes()].concat()
}

#[test]
fn damaged_png_files_are_refused_by_name() {
    let file = |color: u8, chunks: &[Vec<u8>]| {
        let header = chunk(b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 1, 8, color, 0, 0, 0]);
        let start = [&b"\x89PNG\r\n\x1A\n"[..], &header].concat();
        [&start, &chunks.concat(), &chunk(b"IEND", &[])[..]].concat()
    };
    let compressed = |row: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Default::default());
        std::io::Write::write_all(&mut encoder, row).unwrap();
        encoder.finish().unwrap()
    };
    let whole = compressed(&[0, 7, 200]);
    assert_eq!(
        pixels(&file(0, &[chunk(b"IDAT", &whole)])),
        [7, 7, 7, 200, 200, 200]
    );
    let palette = |length| chunk(b"PLTE", &[9; 768][..length]);
    let indices = chunk(b"IDAT", &compressed(&[0, 0, 1]));
    assert_eq!(pixels(&file(3, &[palette(6), indices.clone()])), [9; 6]);
    let flipped = |bytes: &[u8], from_end: usize| {
        let mut bytes = bytes.to_vec();
        let at = bytes.len() - from_end;
        bytes[at] ^= 1;
        bytes
    };
    // As libpng does: damage shows in the checksum of the chunk, so if that of the pixels alone is
    // wrong, whoever wrote the file computed it so.
    let miscounted = chunk(b"IDAT", &flipped(&whole, 1));
    assert_eq!(pixels(&file(0, &[miscounted])), [7, 7, 7, 200, 200, 200]);
    let mut apple = file(0, &[chunk(b"IDAT", &whole)]);
    apple.splice(8..8, chunk(b"CgBI", &[0x50, 0, 0x20, 2]));
    for (file, reason) in [
        (
            file(3, &[palette(5), indices.clone()]),
            "has 5 bytes, which is no multiple of 3",
        ),
        (
            file(3, &[palette(6), palette(6), indices]),
            "Chunk PLTE must appear at most once",
        ),
        (apple, "this kind of PNG is not read: Apple's form"),
        (
            file(0, &[flipped(&chunk(b"IDAT", &whole), 2)]),
            "the PNG file is damaged: CRC error",
        ),
    ] {
        let text = refusal(&file);
        assert!(
            text.contains(reason) && !text.contains("the decoder failed"),
            "{text}"
        );
    }
}

#[test]
fn pictures_are_turned_if_that_is_asked_for() {
    let jpeg = encoded(picture(7, 5), ImageFormat::Jpeg);
    let stored = decode_bytes("a", &jpeg).unwrap();
    let (height, width) = (5, 7);
    for orientation in 1..=8 {
        let file = oriented(&jpeg, orientation);
        assert_eq!(decode_bytes("a", &file).unwrap(), stored);
        let options = DecodeOptions::default().with_apply_orientation(true);
        let turned = decode_bytes_with("a", &file, &options).unwrap();
        // Where the stored picture has a pixel of the turned one.
        let source = |row: usize, column: usize| match orientation {
            2 => (row, width - 1 - column),
            3 => (height - 1 - row, width - 1 - column),
            4 => (height - 1 - row, column),
            5 => (column, row),
            6 => (height - 1 - column, row),
            7 => (height - 1 - column, width - 1 - row),
            8 => (column, width - 1 - row),
            _ => (row, column),
        };
        let size = if orientation > 4 {
            (width, height)
        } else {
            (height, width)
        };
        assert_eq!((turned.height(), turned.width()), size, "{orientation}");
        for row in 0..size.0 {
            for column in 0..size.1 {
                let (y, x) = source(row, column);
                let at = |image: &[u8], width, y, x| -> [u8; 3] {
                    std::array::from_fn(|channel| image[(y * width + x) * 3 + channel])
                };
                let pixel = at(turned.data(), size.1, row, column);
                assert_eq!(
                    pixel,
                    at(stored.data(), width, y, x),
                    "{orientation}: {row}, {column}"
                );
            }
        }
    }
}
