//! Throughput of every image operation and of whole policies on one core.
//!
//! Elements are output values of an operation (`height * width * 3`), and views for
//! policies. The source is a decoded image of 501 x 380 pixels, views are 224 x 224.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
};
use simclr_augment::ops::{self, Border, CropBox, GaussianBlurParams, Resampling};
use simclr_augment::{DecodedImage, Image, Policy, Seed, Stream, View};

const SIDE: usize = 224;

fn picture() -> DecodedImage {
    let (height, width) = (380, 501);
    let value = |i: usize| {
        let (y, x, c) = (i / 3 / width, i / 3 % width, i % 3);
        (y * (c + 1) + x * (3 - c) + y * x % 29) as u8
    };
    let data = (0..height * width * 3).map(value).collect();
    DecodedImage::new(height, width, data).unwrap()
}

fn view() -> Image {
    let decoded = picture();
    ops::resize(&decoded, SIDE, SIDE, Resampling::Bicubic).unwrap()
}

fn elements<'c>(criterion: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements((SIDE * SIDE * 3) as u64));
    group
}

fn resizes(criterion: &mut Criterion) {
    let decoded = picture();
    let floats = decoded.to_image();
    let window = CropBox {
        y: 60,
        x: 110,
        height: 255,
        width: 264,
    };
    let mut group = elements(criterion, "resize");
    for (name, resampling) in [
        ("bicubic", Resampling::Bicubic),
        ("bicubic_legacy", Resampling::BicubicLegacy),
        ("bilinear", Resampling::Bilinear),
    ] {
        group.bench_function(format!("{name}/u8"), |bencher| {
            bencher.iter(|| ops::resize(black_box(&decoded), SIDE, SIDE, resampling));
        });
    }
    group.bench_function("crop_bicubic/u8", |bencher| {
        bencher.iter(|| {
            ops::crop_and_resize(black_box(&decoded), window, SIDE, SIDE, Resampling::Bicubic)
        });
    });
    group.bench_function("crop_bicubic/f32", |bencher| {
        bencher.iter(|| {
            ops::crop_and_resize(black_box(&floats), window, SIDE, SIDE, Resampling::Bicubic)
        });
    });
    group.finish();
}

/// An operation that works in place, on a fresh copy of `image` each time.
fn in_place(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    image: &Image,
    mut operation: impl FnMut(&mut Image),
) {
    group.bench_function(name, |bencher| {
        bencher.iter_batched_ref(|| image.clone(), &mut operation, BatchSize::LargeInput);
    });
}

fn colors(criterion: &mut Criterion) {
    let image = view();
    let mut group = elements(criterion, "color");
    in_place(&mut group, "brightness", &image, |image| {
        ops::scale_brightness(image, 1.1)
    });
    in_place(&mut group, "contrast", &image, |image| {
        ops::adjust_contrast(image, 0.9)
    });
    in_place(&mut group, "saturation", &image, |image| {
        ops::adjust_saturation(image, 1.1)
    });
    in_place(&mut group, "hue", &image, |image| {
        ops::adjust_hue(image, 0.05)
    });
    let values = ops::ColorJitterParams {
        order: ops::JitterStep::FIXED_ORDER,
        brightness_model: ops::BrightnessModel::Multiply,
        brightness: 1.1,
        contrast: 0.9,
        saturation: 1.1,
        hue: 0.05,
    };
    in_place(&mut group, "jitter", &image, |image| {
        ops::color_jitter(image, &values)
    });
    in_place(&mut group, "grayscale", &image, ops::grayscale);
    group.finish();
}

fn blurs(criterion: &mut Criterion) {
    let image = view();
    let mut group = elements(criterion, "blur");
    for sigma in [0.1, 1.0, 2.0] {
        let values = GaussianBlurParams {
            kernel_size: SIDE / 10,
            sigma,
        };
        in_place(&mut group, &format!("sigma_{sigma}"), &image, |image| {
            ops::gaussian_blur(image, &values).unwrap();
        });
    }
    group.finish();
}

fn turns(criterion: &mut Criterion) {
    let image = view();
    let mut group = elements(criterion, "turn");
    group.bench_function("flip_left_right", |bencher| {
        bencher.iter(|| ops::flip_left_right(black_box(&image)));
    });
    group.bench_function("quarter_turn", |bencher| {
        bencher.iter(|| ops::rotate_quarter_turns(black_box(&image), 1));
    });
    group.bench_function("rotate", |bencher| {
        bencher.iter(|| ops::rotate(black_box(&image), 17.0, Border::Reflect));
    });
    group.finish();
}

fn policies(criterion: &mut Criterion) {
    let decoded = picture();
    let mut output = vec![0.0; SIDE * SIDE * 3];
    let mut group = criterion.benchmark_group("policy");
    group.throughput(Throughput::Elements(1));
    let without_blur = Policy::simclr_v2(SIDE)
        .with_color_jitter_strength(0.5)
        .without_blur();
    let with_blur = Policy::simclr_v2(SIDE).with_color_jitter_strength(0.5);
    for (name, policy) in [
        ("simclr_v2_no_blur", without_blur),
        ("simclr_v2_blur", with_blur),
        ("paper", Policy::paper(SIDE)),
        ("rock", Policy::paper(SIDE).with_rock_symmetries()),
        ("evaluation", Policy::evaluation(SIDE)),
        ("probe", Policy::probe(SIDE)),
    ] {
        let mut sample = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                sample += 1;
                let stream = Stream::new(Seed(1)).sample(sample).view(View::First);
                policy.apply_into(black_box(&decoded), stream, &mut output)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, resizes, colors, blurs, turns, policies);
criterion_main!(benches);
