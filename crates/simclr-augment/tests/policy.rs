//! Policies as a whole: determinism, ranges, equivalence with the single operations.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use simclr_augment::ops::{self, Border, ColorJitter, GaussianBlur, RandomCrop, Resampling};
use simclr_augment::{Crop, DecodedImage, Image, Plan, Policy, Seed, Stream, View};
use simclr_testkit::seeds;

/// Uneven colours with edges, the same on every machine.
fn picture(height: usize, width: usize) -> DecodedImage {
    let value = |y: usize, x: usize, c: usize| (y * (3 + c) + x * (5 - c) + (y * x) % 31 * 4) as u8;
    let data = (0..height * width * 3)
        .map(|i| value(i / 3 / width, i / 3 % width, i % 3))
        .collect();
    DecodedImage::new(height, width, data).unwrap()
}

fn presets(size: usize) -> Vec<Policy> {
    vec![
        Policy::simclr_v2(size),
        Policy::simclr_v1(size),
        Policy::paper(size),
        Policy::evaluation(size),
        Policy::evaluation(size).squash_first(),
        Policy::probe(size),
        Policy::simclr_v2(size).with_rock_symmetries(),
        Policy::paper(size).with_rotation(30.0, Border::Reflect),
        Policy::simclr_v2(size).without_color_jitter(),
    ]
}

fn stream(sample: u64) -> Stream {
    Stream::new(Seed(seeds::AUGMENTATIONS))
        .epoch(2)
        .sample(sample)
}

/// A plan carried out by the single operations, one pass each.
fn step_by_step(plan: &Plan, decoded: &DecodedImage) -> Image {
    let mut image = decoded.to_image();
    if let Some((height, width)) = plan.squash {
        image = ops::resize(&image, height, width, Resampling::Bilinear).unwrap();
    }
    let (height, width) = plan.size;
    image = ops::crop_and_resize(&image, plan.window, height, width, plan.resampling).unwrap();
    if plan.flip_left_right {
        image = ops::flip_left_right(&image);
    }
    if plan.flip_up_down {
        image = ops::flip_up_down(&image);
    }
    if let Some(rotation) = &plan.rotation {
        image = rotation.apply(&image).unwrap();
    }
    if let Some(values) = &plan.color_jitter {
        ops::color_jitter(&mut image, values);
    }
    if plan.grayscale {
        ops::grayscale(&mut image);
    }
    ops::clip(&mut image);
    if let Some(values) = &plan.blur {
        ops::gaussian_blur(&mut image, values).unwrap();
        ops::clip(&mut image);
    }
    image
}

#[test]
fn the_fused_policy_equals_its_steps() {
    let decoded = picture(61, 83);
    for policy in presets(40) {
        for sample in 0..40 {
            let plan = policy.plan(61, 83, stream(sample)).unwrap();
            let expected = step_by_step(&plan, &decoded);
            let view = plan.apply(&decoded).unwrap();
            for (a, b) in view.data().iter().zip(expected.data()) {
                assert!((a - b).abs() < 2e-6, "{policy}, sample {sample}: {a} {b}");
            }
        }
    }
}

#[test]
fn the_same_address_gives_the_same_view() {
    let decoded = picture(50, 70);
    for policy in presets(32) {
        let views = |order: &mut dyn Iterator<Item = u64>| -> Vec<(u64, Image)> {
            order
                .map(|i| (i, policy.apply(&decoded, stream(i)).unwrap()))
                .collect()
        };
        let forward = views(&mut (0..8));
        let mut backward = views(&mut (0..8).rev());
        backward.reverse();
        assert_eq!(forward, backward);
    }
    let policy = Policy::simclr_v2(32);
    let view = |stream: Stream| policy.apply(&decoded, stream).unwrap();
    assert_ne!(view(stream(1)), view(stream(2)));
    assert_ne!(view(stream(1)), view(stream(1).epoch(3)));
    assert_ne!(view(stream(1)), view(stream(1).view(View::Second)));
}

#[test]
fn squashing_beforehand_changes_nothing() {
    let decoded = picture(50, 70);
    let policy = Policy::paper(32);
    let squashed = policy.squash(&decoded).unwrap().unwrap();
    assert_eq!(policy.squash(&squashed).unwrap(), None);
    let mut buffers = [vec![0.0; 32 * 32 * 3], vec![0.0; 32 * 32 * 3]];
    let mut outputs: Vec<&mut [f32]> = buffers.iter_mut().map(Vec::as_mut_slice).collect();
    policy
        .views_into(&decoded, stream(5), &mut outputs)
        .unwrap();
    for (view, buffer) in [View::First, View::Second].into_iter().zip(&buffers) {
        let stream = stream(5).view(view);
        let direct = policy.apply(&decoded, stream).unwrap();
        assert_eq!(direct.data(), buffer);
        assert_eq!(policy.apply(&squashed, stream).unwrap(), direct);
    }
}

#[test]
fn policies_and_plans_survive_json() {
    for policy in presets(48) {
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
        let plan = policy.plan(100, 80, stream(1)).unwrap();
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    }
    assert!(serde_json::from_str::<Policy>(r#"{"size": [3, 3], "colour": 1}"#).is_err());
}

#[test]
fn policies_can_be_read_aloud() {
    assert_eq!(
        Policy::paper(224).to_string(),
        "views of 224 x 224: squash to 224 x 224, random crop (area 0.08..1, aspect 0.750..1.333, \
         bicubic), left-right flip (p 0.5), colour jitter (p 0.8, strength 0.5, brightness \
         multiplied), greyscale (p 0.2)"
    );
    assert_eq!(
        Policy::probe(64).to_string(),
        "views of 64 x 64: squash to 64 x 64, centre crop (87.5 %, legacy bicubic)"
    );
}

#[test]
fn invalid_policies_say_what_is_wrong() {
    let good = Policy::simclr_v2(32);
    let crop = |crop: RandomCrop| Policy {
        crop: Crop::Random(crop),
        ..good.clone()
    };
    let bad = [
        (
            Policy {
                size: (0, 32),
                ..good.clone()
            },
            "policy: an image of 0 x 32 pixels",
        ),
        (
            Policy {
                squash: Some((8, 0)),
                ..good.clone()
            },
            "squash: an image of 8 x 0 pixels",
        ),
        (
            Policy {
                crop: Crop::Center { proportion: 1.5 },
                ..good.clone()
            },
            "centre crop: proportion must be within (0, 1], got 1.5",
        ),
        (
            crop(RandomCrop {
                area: (0.5, 1.1),
                ..RandomCrop::default()
            }),
            "random crop: area must be a range within (0, 1], got 0.5..1.1",
        ),
        (
            crop(RandomCrop {
                max_attempts: 0,
                ..RandomCrop::default()
            }),
            "random crop: max_attempts must be at least 1, got 0",
        ),
        (
            Policy {
                grayscale: f64::NAN,
                ..good.clone()
            },
            "greyscale: probability must be within [0, 1], got NaN",
        ),
        (
            good.clone().color_jitter_strength(2.0),
            "colour jitter: strength must be within",
        ),
        (
            Policy {
                color_jitter: Some(ColorJitter {
                    probability: 2.0,
                    ..ColorJitter::default()
                }),
                ..good.clone()
            },
            "colour jitter: probability must be within [0, 1], got 2",
        ),
        (
            Policy {
                blur: Some(GaussianBlur {
                    sigma: (0.0, 1.0),
                    ..GaussianBlur::default()
                }),
                ..good.clone()
            },
            "Gaussian blur: sigma must be a range of positive numbers, got 0..1",
        ),
        (
            good.clone().with_rotation(-1.0, Border::Black),
            "rotation: degrees must be at least 0",
        ),
        (
            Policy {
                size: (20, 30),
                ..good.clone()
            }
            .with_quarter_turns(),
            "quarter turns: size must be square, got 20 x 30",
        ),
    ];
    for (policy, message) in bad {
        let error = policy.validate().unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
        assert!(policy.apply(&picture(9, 9), stream(0)).is_err());
    }
    let mut short = vec![0.0; 10];
    let error = good
        .apply_into(&picture(9, 9), stream(0), &mut short)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "view: a 32 x 32 image needs 3072 values (3 per pixel), got 10"
    );
}

#[test]
fn constant_images_stay_constant() {
    let gray = DecodedImage::new(40, 60, vec![100; 40 * 60 * 3]).unwrap();
    for policy in [Policy::evaluation(24), Policy::probe(24)] {
        let view = policy.apply(&gray, stream(0)).unwrap();
        for value in view.data() {
            assert!((value - 100.0 / 255.0).abs() < 1e-6);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_image_gives_a_view_of_the_right_size_and_range(
        (height, width) in (1usize..90, 1usize..90),
        size in (1usize..40, 1usize..40),
        sample in 0u64..1000,
    ) {
        let decoded = picture(height, width);
        for policy in presets(size.0) {
            let policy = match policy.rotation {
                ops::Rotation::QuarterTurns => policy,
                _ => Policy { size, ..policy },
            };
            // Centre crops of a few pixels can round to nothing; that is an error.
            let Ok(view) = policy.apply(&decoded, stream(sample)) else {
                let centered = matches!(policy.crop, Crop::Center { .. });
                prop_assert!(centered);
                continue;
            };
            prop_assert_eq!((view.height(), view.width()), policy.size);
            prop_assert!(view.data().iter().all(|v| (0.0..=1.0).contains(v)));
            let stream = stream(sample);
            let from_floats = policy.apply(&decoded.to_image(), stream).unwrap();
            for (a, b) in view.data().iter().zip(from_floats.data()) {
                // Where a jittered colour sits on a corner of HSV, rounding is magnified.
                prop_assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
    }
}
