//! The random crop against the distribution that its documentation promises.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use simclr_augment::ops::{CropBox, RandomCrop, center_crop_box};
use simclr_augment::{Purpose, Seed, Stream};
use simclr_testkit::seeds;

fn draw(image: (usize, usize), output: (usize, usize), count: u64) -> Vec<CropBox> {
    let stream = Stream::new(Seed(seeds::AUGMENTATIONS));
    (0..count)
        .map(|i| {
            let mut rng = stream.sample(i).rng(Purpose::Crop);
            RandomCrop::default()
                .sample(image, output, &mut rng)
                .unwrap()
        })
        .collect()
}

/// The Kolmogorov-Smirnov distance of a sample to a uniform distribution.
fn distance_to_uniform(mut values: Vec<f64>, low: f64, high: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let gap = |(i, v): (usize, &f64)| {
        let cdf = ((v - low) / (high - low)).clamp(0.0, 1.0);
        (cdf - i as f64 / n)
            .abs()
            .max((cdf - (i + 1) as f64 / n).abs())
    };
    values.iter().enumerate().map(gap).fold(0.0, f64::max)
}

/// 1 % critical value of the Kolmogorov-Smirnov test.
fn critical(n: usize) -> f64 {
    1.63 / (n as f64).sqrt()
}

#[test]
fn aspect_and_offset_are_uniform() {
    // So large that rounding to pixels does not show.
    let side = 40_000;
    let boxes = draw((side, side), (224, 224), 5000);
    let bound = critical(boxes.len());
    // Restricting the area to what fits squeezes the aspect only for large boxes.
    let small: Vec<_> = boxes
        .iter()
        .filter(|b| (b.height * b.width) as f64 / (side * side) as f64 > 0.1)
        .collect();
    assert_eq!(small.len(), boxes.len());
    let offsets = |offset: fn(&CropBox) -> usize, length: fn(&CropBox) -> usize| {
        boxes
            .iter()
            .map(|b| offset(b) as f64 / (side - length(b)).max(1) as f64)
            .collect::<Vec<_>>()
    };
    assert!(distance_to_uniform(offsets(|b| b.y, |b| b.height), 0.0, 1.0) < bound);
    assert!(distance_to_uniform(offsets(|b| b.x, |b| b.width), 0.0, 1.0) < bound);
    // A fixed area leaves the aspect ratio as it is drawn: uniform, not log-uniform.
    let fixed = RandomCrop::default().with_area((0.25, 0.26));
    let stream = Stream::new(Seed(seeds::AUGMENTATIONS));
    let aspects: Vec<f64> = (0..5000)
        .map(|i| {
            let mut rng = stream.sample(i).rng(Purpose::Crop);
            let window = fixed.sample((side, side), (224, 224), &mut rng).unwrap();
            window.width as f64 / window.height as f64
        })
        .collect();
    assert!(distance_to_uniform(aspects.clone(), 0.75, 4.0 / 3.0) < bound);
    let logarithms = aspects.iter().map(|a| a.ln()).collect();
    assert!(distance_to_uniform(logarithms, 0.75f64.ln(), (4.0f64 / 3.0).ln()) > bound);
}

#[test]
fn the_last_position_is_never_taken() {
    let boxes = draw((30, 20), (8, 8), 5000);
    let free = |b: &&CropBox| b.height < 30 && b.width < 20;
    for b in boxes.iter().filter(free) {
        assert!(b.y + b.height < 30 && b.x + b.width < 20, "{b}");
    }
    assert!(boxes.iter().any(|b| b.y + b.height == 29));
}

#[test]
fn an_impossible_crop_is_the_whole_image() {
    // 1 x 300: no box of aspect 3/4..4/3 covers a tenth of it.
    let boxes = draw((1, 300), (8, 8), 20);
    assert!(boxes.iter().all(|b| *b == CropBox::whole(1, 300)));
}

#[test]
fn odd_margins_of_the_centre_crop_lie_above_and_left() {
    let window = center_crop_box((61, 99), (56, 40), 0.875).unwrap();
    assert_eq!(
        (window.y, window.x, window.height, window.width),
        (4, 31, 53, 38)
    );
    // 0.875 * 4 = 3.5 rounds to the even 4, 0.875 * 12 = 10.5 to the even 10.
    assert_eq!(center_crop_box((4, 4), (8, 8), 0.875).unwrap().height, 4);
    assert_eq!(center_crop_box((12, 12), (8, 8), 0.875).unwrap().height, 10);
    assert!(center_crop_box((40, 40), (8, 8), 0.0).is_err());
    assert!(center_crop_box((1, 1), (1, 1), 0.3).is_err());
}

proptest! {
    #[test]
    fn boxes_satisfy_the_constraints(
        image in (1usize..500, 1usize..500),
        output in (1usize..300, 1usize..300),
        sample in 0u64..1000,
    ) {
        let mut rng = Stream::new(Seed(seeds::AUGMENTATIONS)).sample(sample).rng(Purpose::Crop);
        let window = RandomCrop::default().sample(image, output, &mut rng).unwrap();
        prop_assert!(window.height >= 1 && window.y + window.height <= image.0);
        prop_assert!(window.width >= 1 && window.x + window.width <= image.1);
        if window != CropBox::whole(image.0, image.1) {
            let share = (window.height * window.width) as f64 / (image.0 * image.1) as f64;
            prop_assert!((0.0999..=1.0).contains(&share));
            // The width is the rounded height * aspect.
            let aspect = output.1 as f64 / output.0 as f64;
            let (low, high) = (0.75 * aspect, 4.0 / 3.0 * aspect);
            let (height, width) = (window.height as f64, window.width as f64);
            prop_assert!((width - 0.5) / height <= high + 1e-5);
            prop_assert!((width + 0.5) / height >= low - 1e-5);
        }
    }
}
