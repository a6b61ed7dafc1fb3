//! Policies as a whole: determinism, ranges, equivalence with the single operations.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use simclr_augment::ops::{
    self, Border, ColorJitter, GaussianBlur, GaussianBlurParams, RandomCrop, Resampling, Rotation,
    RotationParams,
};
use simclr_augment::{
    Augmentation, Crop, DecodedImage, Image, Policy, Seed, Stream, View, ViewParams,
};
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
        Policy::paper(size).with_rotation(within(30.0, Border::Reflect)),
        Policy::simclr_v2(size).without_color_jitter(),
    ]
}

fn within(degrees: f64, border: Border) -> Rotation {
    Rotation::Within { degrees, border }
}

fn stream(sample: u64) -> Stream {
    Stream::new(Seed(seeds::AUGMENTATIONS))
        .epoch(2)
        .sample(sample)
}

/// Drawn parameters applied by the single operations, one pass each.
fn step_by_step(params: &ViewParams, decoded: &DecodedImage) -> Image {
    let mut image = decoded.to_image();
    if let Some((height, width)) = params.squash {
        image = ops::resize(&image, height, width, Resampling::Bilinear).unwrap();
    }
    let (height, width) = params.size;
    image =
        ops::crop_and_resize(&image, params.crop_box, height, width, params.resampling).unwrap();
    if params.flip_left_right {
        image = ops::flip_left_right(&image);
    }
    if params.flip_up_down {
        image = ops::flip_up_down(&image);
    }
    if let Some(rotation) = &params.rotation {
        image = match *rotation {
            RotationParams::QuarterTurns(turns) => ops::rotate_quarter_turns(&image, turns),
            RotationParams::Degrees { degrees, border } => ops::rotate(&image, degrees, border),
        }
        .unwrap();
    }
    if let Some(values) = &params.color_jitter {
        ops::color_jitter(&mut image, values);
    }
    if params.grayscale {
        ops::grayscale(&mut image);
    }
    ops::clip(&mut image);
    if let Some(values) = &params.blur {
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
            let params = policy.sample(61, 83, stream(sample)).unwrap();
            let expected = step_by_step(&params, &decoded);
            let view = params.apply(&decoded).unwrap();
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

/// The 64-bit FNV-1a hash of the values' bits.
fn hash(views: &[Image]) -> u64 {
    let bytes = views
        .iter()
        .flat_map(Image::data)
        .flat_map(|v| v.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The hashes of 20 views by each preset.
const RECORDED: [u64; 9] = [
    74257265555797947,
    4768594902014667798,
    14085281308248878848,
    2209252898489521941,
    926724978622693773,
    15130408514950729221,
    2229180482127190814,
    10143318523030850713,
    5796489387454422293,
];

/// Recorded once; processors, instruction sets and platforms must not matter.
#[test]
fn views_have_the_recorded_bits() {
    let decoded = picture(150, 190);
    let hashes = presets(64).into_iter().map(|policy| {
        let views = (0..20).map(|sample| policy.apply(&decoded, stream(sample)).unwrap());
        hash(&views.collect::<Vec<_>>())
    });
    assert_eq!(hashes.collect::<Vec<_>>(), RECORDED);
}

#[test]
fn squashing_beforehand_changes_nothing() {
    let decoded = picture(150, 70);
    let policy = Policy::paper(32);
    let source = decoded.clone().into();
    let squashed = policy.prepare(decoded.clone()).unwrap();
    assert_eq!((squashed.height(), squashed.width()), (32, 32));
    for image in [&source, &squashed] {
        let mut buffers = [vec![0.0; 32 * 32 * 3], vec![0.0; 32 * 32 * 3]];
        let mut outputs = buffers.each_mut().map(Vec::as_mut_slice);
        policy.views_into(image, stream(5), &mut outputs).unwrap();
        for (view, buffer) in [View::First, View::Second].into_iter().zip(&buffers) {
            let direct = policy.apply(&decoded, stream(5).view(view)).unwrap();
            assert_eq!(direct.data(), buffer);
        }
    }
}

#[test]
fn policies_and_parameters_survive_json() {
    for policy in presets(48) {
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
        let params = policy.sample(100, 80, stream(1)).unwrap();
        let json = serde_json::to_string(&params).unwrap();
        assert_eq!(serde_json::from_str::<ViewParams>(&json).unwrap(), params);
    }
}

#[test]
fn json_may_be_partial_and_unknown_keys_are_named() {
    let parse = serde_json::from_str::<Policy>;
    assert_eq!(parse("{}").unwrap(), Policy::default());
    let partial = r#"{"size": [32, 32], "crop": {"random": {"area": [0.2, 1.0]}}, "blur": {}}"#;
    let crop = RandomCrop::default().with_area((0.2, 1.0));
    let expected = Policy::simclr_v2(32).with_crop(Crop::Random(crop));
    assert_eq!(parse(partial).unwrap(), expected);
    for json in [
        r#"{"colour": 1}"#,
        r#"{"blur": {"colour": 1}}"#,
        r#"{"crop": {"center": {"proportion": 0.5, "colour": 1}}}"#,
    ] {
        let error = parse(json).unwrap_err().to_string();
        assert!(
            error.starts_with("unknown field `colour`, expected"),
            "{error}"
        );
    }
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
    let crop = |crop| good.clone().with_crop(Crop::Random(crop));
    let bad = [
        (
            good.clone().with_size(0, 32),
            "size must be at least 1 x 1 pixel and fit in memory, found 0 x 32",
        ),
        (
            good.clone().with_squash(8, 0),
            "squash must be at least 1 x 1 pixel and fit in memory, found 8 x 0",
        ),
        (
            good.clone().with_size(200_000, 200_000),
            "size must be at most 67108864 pixels (8192 x 8192), found 200000 x 200000",
        ),
        (
            good.clone().with_size(4_000_000_000, 4_000_000_000),
            "size must be at most 67108864 pixels (8192 x 8192), found 4000000000 x 4000000000",
        ),
        (
            good.clone().with_squash(8193, 8192),
            "squash must be at most 67108864 pixels (8192 x 8192), found 8193 x 8192",
        ),
        (
            good.clone().with_crop(Crop::Center { proportion: 1.5 }),
            "crop.proportion must be within (0, 1], found 1.5",
        ),
        (
            crop(RandomCrop::default().with_area((0.5, 1.1))),
            "crop.area must be a range within (0, 1], found 0.5..1.1",
        ),
        (
            crop(RandomCrop::default().with_max_attempts(0)),
            "crop.max_attempts must be at least 1, found 0",
        ),
        (
            good.clone().with_grayscale(f64::NAN),
            "grayscale must be within [0, 1], found NaN",
        ),
        (
            good.clone().with_color_jitter_strength(2.0),
            "color_jitter.strength must be within [0, 1.25], found 2",
        ),
        (
            good.clone()
                .with_color_jitter(ColorJitter::default().with_probability(2.0)),
            "color_jitter.probability must be within [0, 1], found 2",
        ),
        (
            good.clone()
                .with_blur(GaussianBlur::default().with_sigma((0.0, 1.0))),
            "blur.sigma must be a range of positive numbers, found 0..1",
        ),
        (
            good.clone().with_rotation(within(-1.0, Border::Black)),
            "rotation.degrees must be at least 0 and finite, found -1",
        ),
        (
            good.clone()
                .with_size(20, 30)
                .with_rotation(Rotation::QuarterTurns),
            "size must be square for quarter turns, found 20 x 30",
        ),
    ];
    for (policy, message) in bad {
        let error = policy.validate().unwrap_err().to_string();
        assert_eq!(error, message);
        assert!(policy.apply(&picture(9, 9), stream(0)).is_err());
    }
    let largest = good.clone().with_size(8192, 8192).with_squash(1, 1 << 26);
    assert!(largest.validate().is_ok());
    let drawn = good.sample(9, 9, stream(0)).unwrap();
    let (mut large, mut squashed, mut blurred) = (drawn.clone(), drawn.clone(), drawn);
    large.size = (200_000, 200_000);
    squashed.squash = Some((200_000, 200_000));
    let (kernel_size, sigma) = (usize::MAX, 1.0);
    blurred.blur = Some(GaussianBlurParams { kernel_size, sigma });
    for (params, option) in [
        (large, "size"),
        (squashed, "squash"),
        (blurred, "blur.kernel_size"),
    ] {
        let error = params.apply(&picture(9, 9)).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{option} must be at most 67108864")),
            "{error}"
        );
    }
    let mut short = vec![0.0; 10];
    let error = good
        .apply_into(&picture(9, 9), stream(0), &mut short)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "an image of 32 x 32 pixels needs 3072 values (3 per pixel), found 10"
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
                Rotation::QuarterTurns => policy,
                _ => policy.with_size(size.0, size.1),
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
