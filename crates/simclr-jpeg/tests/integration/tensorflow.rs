//! JPEG files give the bytes that TensorFlow gives, and broken ones an error.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use simclr_jpeg::{
    Components, Error, decode, decode_embedded, decode_rows, dimensions, is_complete,
};

fn file(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

/// Name, height and width, and the SHA-256 of the bytes of `tf.image.decode_jpeg(file, channels=3)`.
/// From `arithmetic_progressive.jpg` to `ycck.jpg` they are of libjpeg-turbo 2.1.5 with TensorFlow's settings and
/// its rule for inks.
/// The tall ones, whose scans are decoded by windows, are of this decoder before it had any.
#[rustfmt::skip]
const RECORDED: [(&str, [usize; 2], &str); 17] = [
    ("gray.jpg", [64, 72], "9d37fa6a60f0dba06b27a0f10a832d63e1ee722d3990ea8cbaeda3dea36e786d"),
    ("odd_size.jpg", [37, 51], "05953e4323861ab086ef53cf473b78bf8baf8355e5a48751037e07c0605ccb7d"),
    ("progressive.jpg", [64, 64], "2ac4a5627d875ac65619ddd95220417db4c560dce02492c40b05739a27dc6b5a"),
    ("rgb420.jpg", [66, 80], "23fd7bc2645b1d014cab09197eb67f949d7e208505d31c1e86d9e5651406f9c2"),
    ("rgb422.jpg", [45, 61], "05c35b44717e90ad9e32fd7de798d371ec99d4583260986e38ca7bd746ab5ec2"),
    ("rgb444.jpg", [40, 56], "e7ebc702cba950e9d232fe4e52237bdb78e866a643078a17f14ec83ab930e9af"),
    ("arithmetic.jpg", [37, 53], "6f047640a1040effeb322cd5d30f89d0869360a766ba03b9e708fbe9ce3d6b1f"),
    ("cmyk_bare.jpg", [40, 56], "c2887c587c32c7d5c398ce067a6df38a58c0d2efe71c361e089b5317f0c7451e"),
    ("motion_frame.jpg", [40, 56], "8929a6b980c038734eec2d500feba455112f61f3e753ce6786953a8807e2de68"),
    ("arithmetic_progressive.jpg", [45, 52], "900fcd2eafee5ce4fac46f801d188c9d82e38fa5943e577834c61996f8b47c03"),
    ("cmyk_adobe.jpg", [45, 52], "14ef6f424f3a8eb67999c2e349e87263a002359da98b7b688a1465db032e5188"),
    ("restarts.jpg", [45, 52], "900fcd2eafee5ce4fac46f801d188c9d82e38fa5943e577834c61996f8b47c03"),
    ("scan_per_component.jpg", [45, 52], "900fcd2eafee5ce4fac46f801d188c9d82e38fa5943e577834c61996f8b47c03"),
    ("ycck.jpg", [45, 52], "cecd98b3d724e3350605262a8a3fc12bc11a0913d46f15c586a13d6d94ba5ba8"),
    ("tall420_restarts.jpg", [648, 21], "12313fc270648d126e61fd8cf214129ffd0b0c99ae1620556920dc8133cba77e"),
    ("tall422.jpg", [648, 21], "0c82f7ac144bd1270dcbec0abc03f017ad5b6ca7cdc1cbc8975d6fc8a93559df"),
    ("tall_gray.jpg", [648, 21], "0f1f1b6af15545533680cdd0a9953adf98dc90719e9ddeef4e9e73145bf55beb"),
];

#[test]
fn every_byte_is_tensorflows() {
    for (name, size, digest) in RECORDED {
        let image = decode(&file(name)).unwrap();
        assert_eq!([image.height, image.width], size, "{name}");
        assert_eq!(dimensions(&file(name)), Ok((size[0], size[1])), "{name}");
        assert_eq!(hex::encode(Sha256::digest(&image.pixels)), digest, "{name}");
        let mut rows = Vec::new();
        let take = &mut |new: &[u8]| {
            assert!(
                !new.is_empty() && new.len().is_multiple_of(3 * image.width),
                "{name}"
            );
            rows.extend_from_slice(new);
        };
        decode_rows(&file(name), take).unwrap();
        assert!(rows == image.pixels, "{name}");
    }
}

#[test]
fn truncated_files_are_errors() {
    for (name, ..) in RECORDED {
        let bytes = file(name);
        for keep in (1..20)
            .map(|part| bytes.len() * part / 20)
            .chain([bytes.len() - 2])
        {
            let mut cut = bytes[..keep].to_vec();
            let error = decode(&cut).unwrap_err().to_string();
            assert!(
                error.contains("damaged: it is truncated"),
                "{name} {keep}: {error}"
            );
            assert!(is_complete(&bytes) && !is_complete(&cut), "{name} {keep}");
            // An end marker does not make up for what is missing. Only an arithmetic code goes
            // on with zeros by the standard.
            cut.extend([0xFF, 0xD9]);
            let complete = keep == bytes.len() - 2 || name == "arithmetic.jpg";
            assert!(decode(&cut).is_err() || complete, "{name} {keep}");
        }
    }
}

/// Where each segment begins, and its marker. The last one is the first scan's.
fn segments(bytes: &[u8]) -> Vec<(usize, u8)> {
    let mut found = vec![(2, bytes[3])];
    while let Some(&(start, marker)) = found.last()
        && marker != 0xDA
    {
        let length = u16::from_be_bytes([bytes[start + 2], bytes[start + 3]]);
        let next = start + 2 + usize::from(length);
        found.push((next, bytes[next + 1]));
    }
    found
}

fn position(bytes: &[u8], wanted: u8) -> usize {
    let found = segments(bytes);
    found
        .iter()
        .find(|(_, marker)| *marker == wanted)
        .unwrap()
        .0
}

fn with(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

fn insert(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
    bytes.splice(at..at, new.iter().copied());
    bytes
}

/// As libjpeg reads them.
#[test]
fn bytes_between_segments_are_skipped() {
    let plain = file("restarts.jpg");
    let expected = decode(&plain).unwrap();
    let end = plain.len() - 2;
    let restart = plain
        .windows(2)
        .position(|pair| pair == [0xFF, 0xD0])
        .unwrap();
    let places = segments(&plain).into_iter().map(|(start, _)| start);
    for place in places.chain([restart, end]) {
        for junk in [&b"junk"[..], &[0xFF; 5], b"\0\xFF\0"] {
            let image = decode(&insert(plain.clone(), place, junk)).unwrap();
            assert!(image == expected, "{place} {junk:?}");
        }
    }
    // A thumbnail, another application's segment, and what stands behind the end.
    let thumbnail = [&[0xFF, 0xE1, 3, 0xEA][..], b"Exif\0\0", &plain].concat();
    let length = (plain.len() + 8) as u16;
    let thumbnail = with(thumbnail, 2, &length.to_be_bytes());
    let short_adobe = b"\xFF\xEE\0\x08Adobe\0";
    for segment in [&thumbnail[..], short_adobe, b"\xFF\xEE\0\x0ESomething else"] {
        let bytes = insert(
            plain.clone(),
            2,
            &segment[..segment.len().min(plain.len() + 10)],
        );
        assert!(decode(&[&bytes[..], &plain].concat()).unwrap() == expected);
    }
}

#[test]
fn what_is_not_supported_is_named() {
    let plain = file("rgb420.jpg");
    let frame = position(&plain, 0xC0);
    let process = |marker| with(plain.clone(), frame + 1, &[marker]);
    let cases = [
        (file("two_components.jpg"), "2 components"),
        (with(plain.clone(), frame + 4, &[12]), "12 bits per sample"),
        (with(plain.clone(), frame + 5, &[0, 0]), "DNL"),
        (
            with(plain.clone(), frame + 11, &[0x32, 0, 2, 0x21]),
            "fractional",
        ),
        (process(0xC3), "lossless"),
        (process(0xCB), "lossless"),
        (process(0xC5), "hierarchical"),
        (process(0xCF), "hierarchical"),
        (
            insert(plain.clone(), 2, &[0xFF, 0xDE, 0, 2]),
            "hierarchical",
        ),
        (insert(plain.clone(), 2, &[0xFF, 0xF7, 0, 2]), "JPEG-LS"),
        (process(0xF0), "unknown kind F0"),
    ];
    for (bytes, expected) in cases {
        let error = decode(&bytes).unwrap_err();
        assert!(
            matches!(error, Error::Unsupported(_)),
            "{expected}: {error}"
        );
        let error = error.to_string();
        assert!(
            error.contains("not supported") && error.contains(expected),
            "{error}"
        );
    }
}

/// The parts of a file that each end with a scan's data, and the file's end.
fn scans(bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let (mut start, mut rest) = (0, segments(bytes).pop().unwrap().0);
    loop {
        let next = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xD0..=0xD7);
        rest += 2;
        rest += bytes[rest..].windows(2).position(next).unwrap();
        parts.push(&bytes[start..rest]);
        start = rest;
        while !matches!(bytes[rest + 1], 0xD9 | 0xDA) {
            rest += 2 + usize::from(u16::from_be_bytes([bytes[rest + 2], bytes[rest + 3]]));
        }
        if bytes[rest + 1] == 0xD9 {
            parts.push(&bytes[start..]);
            return parts;
        }
    }
}

/// libjpeg draws such files without a word, or with a warning.
#[test]
fn missing_repeated_and_shifted_parts_are_errors() {
    for name in [
        "progressive.jpg",
        "arithmetic_progressive.jpg",
        "scan_per_component.jpg",
    ] {
        let bytes = file(name);
        let parts = scans(&bytes);
        assert!(parts.len() > 3, "{name}");
        for skipped in 1..parts.len() - 1 {
            let missing = [&parts[..skipped], &parts[skipped + 1..]].concat().concat();
            let twice = [&parts[..=skipped], &parts[skipped..]].concat().concat();
            for bytes in [missing, twice] {
                let error = decode(&bytes).unwrap_err().to_string();
                let known = error.contains("scans are missing") || error.contains("there twice");
                assert!(known, "{name} {skipped}: {error}");
            }
        }
    }
    let bytes = file("restarts.jpg");
    let markers = |pair: &&[u8]| pair[0] == 0xFF && matches!(pair[1], 0xD0..=0xD7);
    let first = bytes.windows(2).position(|pair| markers(&pair)).unwrap();
    let next = first
        + 2
        + bytes[first + 2..]
            .windows(2)
            .position(|pair| markers(&pair))
            .unwrap();
    let lost = [&bytes[..first], &bytes[next..]].concat();
    let error = decode(&lost).unwrap_err().to_string();
    assert!(
        error.contains("restart marker 1 where 0 should be"),
        "{error}"
    );
}

/// Files whose components all have the same number, in order.
#[test]
fn components_may_share_their_number() {
    let mut bytes = file("rgb420.jpg");
    let expected = decode(&bytes).unwrap();
    let (frame, scan) = (position(&bytes, 0xC0), position(&bytes, 0xDA));
    for component in 0..3 {
        bytes[frame + 10 + 3 * component] = 0;
        bytes[scan + 5 + 2 * component] = 0;
    }
    assert!(decode(&bytes).unwrap() == expected);
}

/// Such files have their end marker, so that they are not called truncated.
#[test]
fn impossible_lengths_and_files_without_a_picture_are_named() {
    let plain = file("rgb420.jpg");
    for length in [0, 1] {
        let bytes = with(plain.clone(), 4, &[0, length]);
        let error = decode(&bytes).unwrap_err().to_string();
        let expected = format!("a segment has a length of {length}");
        assert!(is_complete(&bytes) && error.contains(&expected), "{error}");
    }
    let error = decode(b"\xFF\xD8\xFF\xD9").unwrap_err().to_string();
    assert!(is_complete(b"\xFF\xD8\xFF\xD9"));
    assert!(error.contains("there is no picture"), "{error}");
}

/// A damaged header must not make the decoder reserve gigabytes.
#[test]
fn an_image_too_large_for_its_file_is_refused_at_its_header() {
    for name in ["rgb420.jpg", "progressive.jpg", "gray.jpg"] {
        let mut bytes = file(name);
        let frame = |pair: &[u8]| pair[0] == 0xFF && matches!(pair[1], 0xC0 | 0xC2);
        let start = bytes.windows(2).position(frame).unwrap();
        // Height and width: 12000 pixels each.
        bytes[start + 5..start + 9].copy_from_slice(&[0x2E, 0xE0, 0x2E, 0xE0]);
        let error = decode(&bytes).unwrap_err().to_string();
        assert!(
            error.contains("cannot hold its 12000 x 12000 pixels"),
            "{error}"
        );
    }
}

/// How large a picture may be is for others to say, who know how much memory there is.
#[test]
fn pictures_of_more_than_half_a_billion_values_are_read() {
    // Full sampling, no codes of its own, and all steps 1.
    let side = 13_400u16;
    let [high, low] = side.to_be_bytes();
    let steps = [&[0xFF, 0xDB, 0, 67, 0][..], &[1; 64]].concat();
    let components = [1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0];
    let frame = [
        &[0xFF, 0xC0, 0, 17, 8, high, low, high, low, 3][..],
        &components,
    ]
    .concat();
    let scan = [0xFF, 0xDA, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0];
    // In four groups of three blocks, no difference and no further coefficients.
    let groups = [
        0b0010_1000,
        0b0000_0000,
        0b1010_0000,
        0b0000_0010,
        0b1000_0000,
        0b0000_1010,
        0,
    ];
    let mcus = usize::from(side.div_ceil(8)).pow(2);
    let data = groups.repeat(mcus.div_ceil(4));
    let start = [&[0xFF, 0xD8][..], &steps, &frame, &scan].concat();
    let file = [&start[..], &data, &[0xFF, 0xD9]].concat();
    let mut count = 0;
    decode_rows(&file, &mut |rows| {
        assert!(rows.iter().all(|value| *value == 128));
        count += rows.len();
    })
    .unwrap();
    assert_eq!(count, usize::from(side).pow(2) * 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn damage_never_panics(
        which in 0..RECORDED.len(),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..5), 1..8),
    ) {
        let mut bytes = file(RECORDED[which].0);
        for (place, value, kind) in hits {
            let place = place.index(bytes.len());
            match kind {
                0 => bytes.truncate(place + 1),
                1 => drop(bytes.drain(place..(place + usize::from(value)).min(bytes.len()))),
                2 => bytes.insert(place, value),
                _ => bytes[place] = value,
            }
            if bytes.is_empty() {
                break;
            }
        }
        // Either outcome is fine; it only must be one, and the same both ways.
        let _ = decode_embedded(&bytes, Components::Marked);
        let mut rows = Vec::new();
        let by_rows = decode_rows(&bytes, &mut |new| rows.extend_from_slice(new));
        match decode(&bytes) {
            Ok(image) => assert!(by_rows.is_ok() && rows == image.pixels),
            Err(error) => assert_eq!(by_rows, Err(error)),
        }
    }
}
