//! Pictures of many rows, read as a whole and row by row.
#![cfg(feature = "png")]
#![allow(clippy::unwrap_used)]

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageFormat, RgbaImage};
use simclr_data::{DecodeOptions, RowReader};

use crate::both_ways::{decode_bytes, decode_bytes_with};

const WIDTH: u32 = 90;
const HEIGHT: u32 = 317;

fn picture() -> DynamicImage {
    let noise = |x: u32, y: u32, channel: u32| {
        let hash = (x + 977 * y + 65_537 * channel).wrapping_mul(2_654_435_761);
        (x + y / 3 + 40 * channel + (hash >> 28)) as u8
    };
    let pixel = |x, y| image::Rgba([0, 1, 2, 3].map(|channel| noise(x, y, channel)));
    RgbaImage::from_fn(WIDTH, HEIGHT, pixel).into()
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Decodes the file and its beginnings both ways.
fn check(bytes: &[u8]) {
    assert!(decode_bytes("whole", bytes).is_ok());
    for part in 1..12 {
        let _ = decode_bytes("part", &bytes[..bytes.len() * part / 12]);
    }
}

#[test]
fn png_of_every_kind() {
    let rgba = picture();
    let deep = DynamicImage::from(rgba.to_rgba16());
    for image in [
        rgba.to_luma8().into(),
        rgba.to_luma_alpha8().into(),
        rgba.to_rgb8().into(),
        deep.to_luma16().into(),
        deep.to_luma_alpha16().into(),
        deep.to_rgb16().into(),
        deep,
        rgba,
    ] {
        check(&encoded(&image, ImageFormat::Png));
    }
    let colors: Vec<u8> = (0..16 * 3).map(|value| (value * 5) as u8).collect();
    for (depth, bits) in [
        (png::BitDepth::One, 1),
        (png::BitDepth::Two, 2),
        (png::BitDepth::Four, 4),
    ] {
        for kind in [png::ColorType::Indexed, png::ColorType::Grayscale] {
            let mut bytes = Vec::new();
            let mut encoder = png::Encoder::new(&mut bytes, WIDTH, HEIGHT);
            encoder.set_color(kind);
            encoder.set_depth(depth);
            if kind == png::ColorType::Indexed {
                encoder.set_palette(&colors[..3 << bits]);
                // Alpha of the first color.
                encoder.set_trns(&[7][..]);
            }
            let row_bytes = (WIDTH * bits).div_ceil(8);
            let data: Vec<u8> = (0..row_bytes * HEIGHT).map(|i| (i * 37) as u8).collect();
            encoder
                .write_header()
                .unwrap()
                .write_image_data(&data)
                .unwrap();
            check(&bytes);
        }
    }
}

#[test]
fn tiff_and_formats_that_are_decoded_whole() {
    for format in [ImageFormat::Tiff, ImageFormat::Bmp, ImageFormat::WebP] {
        check(&encoded(&picture().to_rgb8().into(), format));
    }
    let deep = DynamicImage::from(picture().to_rgb16());
    check(&encoded(&deep, ImageFormat::Tiff));
}

#[test]
fn jpeg_of_every_kind() {
    check(&encoded(&picture().to_rgb8().into(), ImageFormat::Jpeg));
    check(&encoded(&picture().to_luma8().into(), ImageFormat::Jpeg));
    // With subsampled colours, restarts, inks, several scans, arithmetic code.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../simclr-jpeg/tests/data");
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for part in 1..=12 {
            let _ = decode_bytes("part", &bytes[..bytes.len() * part / 12]);
        }
    }
}

#[test]
fn limits_and_turns_are_those_of_the_whole() {
    let bytes = encoded(&picture().to_rgb8().into(), ImageFormat::Jpeg);
    let few = DecodeOptions::default().with_max_pixels(1000);
    let error = decode_bytes_with("large", &bytes, &few).unwrap_err();
    assert!(error.to_string().contains("max_pixels"), "{error}");

    // Behind the start marker: Exif with an orientation, 6, to be turned by a quarter.
    let exif =
        b"\xFF\xE1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let turned = [&bytes[..2], exif, &bytes[2..]].concat();
    let options = DecodeOptions::default().with_apply_orientation(true);
    let image = decode_bytes_with("turned", &turned, &options).unwrap();
    assert_eq!(
        (image.height(), image.width()),
        (WIDTH as usize, HEIGHT as usize)
    );
    let image = decode_bytes("stored", &turned).unwrap();
    assert_eq!(
        (image.height(), image.width()),
        (HEIGHT as usize, WIDTH as usize)
    );

    let missing = RowReader::open("no/such/file.png", &DecodeOptions::default()).unwrap_err();
    assert!(
        missing.to_string().contains("no/such/file.png"),
        "{missing}"
    );
}
