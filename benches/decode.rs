//! Decoding of JPEG files on one core; elements are pixels.
//!
//! The picture is a synthetic core of 501 x 501 pixels, stored grey and in colour, at
//! a high and at a usual quality.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, RgbImage};
use simclr_data::{Dataset, Seed, SyntheticCores, decode_file};

const SIDE: u32 = 501;

fn decode(criterion: &mut Criterion) {
    let cores = SyntheticCores::new(1, SIDE as usize, Seed(1)).unwrap();
    let pixels = cores.decode(0).unwrap().into_data();
    let color = DynamicImage::ImageRgb8(RgbImage::from_raw(SIDE, SIDE, pixels).unwrap());
    let gray = DynamicImage::ImageLuma8(color.to_luma8());
    let folder = tempfile::tempdir().unwrap();
    let mut group = criterion.benchmark_group("decode_jpeg");
    group.throughput(Throughput::Elements(u64::from(SIDE * SIDE)));
    for (name, picture, quality) in [
        ("gray_q95", &gray, 95),
        ("gray_q75", &gray, 75),
        ("color_q95", &color, 95),
        ("color_q75", &color, 75),
    ] {
        let path = folder.path().join(format!("{name}.jpg"));
        let mut bytes = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
        picture.write_with_encoder(encoder).unwrap();
        std::fs::write(&path, bytes).unwrap();
        group.bench_function(name, |bencher| bencher.iter(|| decode_file(&path).unwrap()));
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
