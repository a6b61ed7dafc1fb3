//! Which colours become of YCbCr and of colours with alpha.

use super::file::{HEIGHT, Tiff, WIDTH, interleaved, lzw};

#[test]
fn ycbcr_is_subsampled_or_not() {
    // Grey with the colours of red in blocks of 2 x 2 pixels, and not subsampled.
    let red = [76, 85, 255];
    let blocks = WIDTH.div_ceil(2) * HEIGHT.div_ceil(2);
    let subsampled = vec![[76, 76, 76, 76, 85, 255]; blocks].concat();
    let full = vec![red; WIDTH * HEIGHT].concat();
    for (strip, factor) in [(subsampled, 2), (full, 1)] {
        let decoded = Tiff::new(6, 3, 8, strip)
            .with(530, [factor, factor])
            .decode()
            .unwrap();
        assert!(
            decoded
                .as_chunks()
                .0
                .iter()
                .all(|pixel| *pixel == [254, 0, 0]),
            "{factor}"
        );
    }
    // Without the tag TIFF says 2 x 2, but so many bytes are those of all samples.
    let full = Tiff::new(6, 3, 8, vec![red; WIDTH * HEIGHT].concat());
    let subsampled = full.clone().with(530, [2, 2]).compressed(5, lzw);
    for tiff in [full.clone(), full.tiled(1, 3)] {
        let decoded = tiff.decode().unwrap();
        assert!(
            decoded
                .as_chunks()
                .0
                .iter()
                .all(|pixel| *pixel == [254, 0, 0])
        );
    }
    let text = subsampled.with(317, [2]).refusal();
    assert!(
        text.contains("a predictor (tag 317) of subsampled YCbCr"),
        "{text}"
    );
}

/// YCbCr, and the RGB that libtiff (tiff2rgba) makes of it: without the tags, and by those of
/// ITU-R BT.709 with the levels of video.
const CONVERTED: [[[u8; 3]; 3]; 9] = [
    [[16, 128, 128], [16, 16, 16], [0, 0, 0]],
    [[235, 128, 128], [235, 235, 235], [255, 255, 255]],
    [[81, 90, 240], [238, 14, 14], [255, 24, 0]],
    [[145, 54, 34], [13, 238, 14], [0, 215, 0]],
    [[41, 240, 110], [16, 15, 239], [0, 15, 255]],
    [[100, 200, 60], [5, 124, 228], [0, 118, 247]],
    [[255, 0, 255], [255, 208, 28], [255, 238, 9]],
    [[0, 255, 0], [0, 48, 225], [0, 23, 249]],
    [[180, 100, 150], [211, 174, 130], [228, 185, 132]],
];

#[test]
fn ycbcr_is_converted_by_the_weights_and_levels_of_tags() {
    let strip = (0..WIDTH * HEIGHT).flat_map(|pixel| CONVERTED[pixel % 9][0]);
    let plain = Tiff::new(6, 3, 8, strip.collect()).with(530, [1, 1]);
    let weights = [2126, 10_000, 7152, 10_000, 722, 10_000];
    let levels = [16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1];
    let tagged = plain.clone().with(529, weights).with(532, levels);
    for (column, tiff) in [(1, plain.clone()), (2, tagged)] {
        let expected = (0..WIDTH * HEIGHT).flat_map(|pixel| CONVERTED[pixel % 9][column]);
        assert!(
            tiff.decode().unwrap() == expected.collect::<Vec<_>>(),
            "{column}"
        );
    }
    for (tag, values) in [
        (529, vec![1, 1, 0, 1, 1, 1]),
        (529, vec![1, 0]),
        (532, vec![1, 1]),
    ] {
        let text = plain.clone().with(tag, values).refusal();
        assert!(text.contains(&format!("tag {tag}")), "{text}");
    }
}

#[test]
fn colors_are_divided_by_associated_alpha() {
    // Red, green, blue and alpha, and what Pillow makes of them.
    let pixels = [
        ([100, 50, 0, 200], [127, 63, 0]),
        ([100, 50, 7, 50], [255, 255, 35]),
        ([9, 8, 7, 0], [9, 8, 7]),
        ([9, 8, 7, 255], [9, 8, 7]),
    ];
    let strip = (0..WIDTH * HEIGHT).flat_map(|pixel| pixels[pixel % 4].0);
    let expected: Vec<u8> = (0..WIDTH * HEIGHT)
        .flat_map(|pixel| pixels[pixel % 4].1)
        .collect();
    let rgb = Tiff::new(2, 4, 8, strip.collect()).with(338, [1]);
    assert!(rgb.decode().unwrap() == expected);
    assert!(rgb.tiled(1, 4).decode().unwrap() == expected);
    let plane = |channel: usize| (0..WIDTH * HEIGHT).map(move |pixel| pixels[pixel % 4].0[channel]);
    let planes = Tiff::new(2, 4, 8, (0..4).flat_map(plane).collect());
    let planes = planes.with(284, [2]).with(338, [1]);
    let strips = planes.chunks[0].chunks(WIDTH * HEIGHT).map(<[u8]>::to_vec);
    let planes = Tiff {
        chunks: strips.collect(),
        ..planes
    };
    assert!(planes.decode().unwrap() == expected);
    let gray: Vec<u8> = plane(0)
        .zip(plane(3))
        .flat_map(|(gray, alpha)| [gray, alpha])
        .collect();
    let gray = Tiff::new(1, 2, 8, gray).with(338, [1]);
    let expected: Vec<u8> = expected.chunks(3).flat_map(|pixel| [pixel[0]; 3]).collect();
    assert!(gray.decode().unwrap() == expected);
    let inks = Tiff::new(5, 5, 8, interleaved(5)).with(338, [1]);
    assert!(
        inks.refusal().contains("CMYK that has been multiplied"),
        "{}",
        inks.refusal()
    );
}
