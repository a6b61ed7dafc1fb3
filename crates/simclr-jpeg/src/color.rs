//! Rows of samples to rows of pixels.

/// Grey to three equal channels.
pub(crate) fn gray_to_rgb(line: &[u8], row: &mut [u8]) {
    interleave([line; 3], row);
}

/// The conversion of ITU-R BT.601 in 16-bit fixed point, as libjpeg rounds it; or
/// nothing but interleaving, if the components are red, green and blue.
pub(crate) fn to_rgb(lines: [&[u8]; 3], rgb: bool, row: &mut [u8]) {
    if rgb {
        return interleave(lines, row);
    }
    let mut planes = [[0; BLOCK]; 3];
    for (start, row) in (0..).step_by(BLOCK).zip(row.chunks_mut(3 * BLOCK)) {
        let count = row.len() / 3;
        let lines = lines.map(|line| &line[start..start + count]);
        pulp::Arch::new().dispatch(Convert {
            lines,
            planes: &mut planes,
        });
        interleave(planes.each_ref().map(|plane| &plane[..count]), row);
    }
}

/// Pixels that are converted at a time.
const BLOCK: usize = 512;

/// Of the lines (luma, blue, red) into planes of red, green and blue.
struct Convert<'a> {
    lines: [&'a [u8]; 3],
    planes: &'a mut [[u8; BLOCK]; 3],
}

impl pulp::NullaryFnOnce for Convert<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        const HALF: i32 = 1 << 15;
        let [lumas, blues, reds] = self.lines;
        let [r, g, b] = self.planes;
        let count = lumas.len().min(blues.len()).min(reds.len()).min(BLOCK);
        let (lumas, blues, reds) = (&lumas[..count], &blues[..count], &reds[..count]);
        let (r, g, b) = (&mut r[..count], &mut g[..count], &mut b[..count]);
        for i in 0..count {
            let luma = i32::from(lumas[i]);
            let (blue, red) = (i32::from(blues[i]) - 128, i32::from(reds[i]) - 128);
            r[i] = (luma + ((91881 * red + HALF) >> 16)).clamp(0, 255) as u8;
            g[i] = (luma + ((-22554 * blue - 46802 * red + HALF) >> 16)).clamp(0, 255) as u8;
            b[i] = (luma + ((116_130 * blue + HALF) >> 16)).clamp(0, 255) as u8;
        }
    }
}

/// Three planes to pixels of three values.
fn interleave(planes: [&[u8]; 3], row: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return avx2::interleave(simd, planes, row);
    }
    interleave_plain(planes, row);
}

fn interleave_plain([a, b, c]: [&[u8]; 3], row: &mut [u8]) {
    let (pixels, _) = row.as_chunks_mut::<3>();
    for (((pixel, &a), &b), &c) in pixels.iter_mut().zip(a).zip(b).zip(c) {
        *pixel = [a, b, c];
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::__m128i;

    use pulp::x86::V3;
    use pulp::{NullaryFnOnce, cast};

    pub(crate) fn interleave(simd: V3, planes: [&[u8]; 3], row: &mut [u8]) {
        simd.vectorize(Interleave { simd, planes, row });
    }

    struct Interleave<'a> {
        simd: V3,
        planes: [&'a [u8]; 3],
        row: &'a mut [u8],
    }

    /// Pixels per vector.
    const PIXELS: usize = 16;

    /// Where the bytes of a third of 16 pixels come from in one channel: the number of
    /// the pixel, or none.
    const fn places(third: usize, channel: usize) -> [u8; PIXELS] {
        let mut places = [0x80; PIXELS];
        let mut i = 0;
        while i < PIXELS {
            let value = third * PIXELS + i;
            if value % 3 == channel {
                places[i] = (value / 3) as u8;
            }
            i += 1;
        }
        places
    }

    const PLACES: [[[u8; PIXELS]; 3]; 3] = [
        [places(0, 0), places(0, 1), places(0, 2)],
        [places(1, 0), places(1, 1), places(1, 2)],
        [places(2, 0), places(2, 1), places(2, 2)],
    ];

    impl NullaryFnOnce for Interleave<'_> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            let Self { simd, planes, row } = self;
            let [a, b, c] = planes;
            let (a, a_rest) = a.as_chunks::<PIXELS>();
            let (b, b_rest) = b.as_chunks::<PIXELS>();
            let (c, c_rest) = c.as_chunks::<PIXELS>();
            let (pixels, _) = row.as_chunks_mut::<{ 3 * PIXELS }>();
            let whole = pixels.len().min(a.len()).min(b.len()).min(c.len());
            for (((pixels, a), b), c) in pixels.iter_mut().zip(a).zip(b).zip(c) {
                let (a, b, c) = (cast(*a), cast(*b), cast(*c));
                *pixels = cast([
                    third(simd, 0, a, b, c),
                    third(simd, 1, a, b, c),
                    third(simd, 2, a, b, c),
                ]);
            }
            let rest = &mut row[whole * 3 * PIXELS..];
            super::interleave_plain([a_rest, b_rest, c_rest], rest);
        }
    }

    /// A third of 16 pixels.
    #[inline(always)]
    fn third(simd: V3, index: usize, a: __m128i, b: __m128i, c: __m128i) -> __m128i {
        let [from_a, from_b, from_c] = PLACES[index];
        let a = simd.ssse3._mm_shuffle_epi8(a, cast(from_a));
        let b = simd.ssse3._mm_shuffle_epi8(b, cast(from_b));
        let c = simd.ssse3._mm_shuffle_epi8(c, cast(from_c));
        let both = simd.sse2._mm_or_si128(a, b);
        simd.sse2._mm_or_si128(both, c)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn vector_code_and_plain_code_interleave_alike(
            values in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let width = values.len() / 3;
            let planes = [0, 1, 2].map(|plane| &values[plane * width..(plane + 1) * width]);
            let (mut row, mut plain) = (vec![0; 3 * width], vec![0; 3 * width]);
            interleave(planes, &mut row);
            interleave_plain(planes, &mut plain);
            prop_assert_eq!(&row, &plain);
            gray_to_rgb(planes[0], &mut row);
            prop_assert!(row.chunks(3).zip(planes[0]).all(|(pixel, &value)| pixel == [value; 3]));
        }

        /// The definition in floating point, to half a level and the fixed point's rest.
        #[test]
        fn colors_are_those_of_the_standard(
            values in prop::collection::vec(any::<[u8; 3]>(), 1..700),
        ) {
            let lines = [0, 1, 2].map(|c| values.iter().map(|v| v[c]).collect::<Vec<u8>>());
            let mut row = vec![0; 3 * values.len()];
            to_rgb(lines.each_ref().map(|line| line.as_slice()), false, &mut row);
            for (pixel, value) in row.chunks(3).zip(&values) {
                let [y, cb, cr] = value.map(f64::from);
                let (cb, cr) = (cb - 128.0, cr - 128.0);
                let expected = [
                    y + 1.402 * cr,
                    y - 0.344_136 * cb - 0.714_136 * cr,
                    y + 1.772 * cb,
                ];
                for (&got, expected) in pixel.iter().zip(expected) {
                    prop_assert!((f64::from(got) - expected.clamp(0.0, 255.0)).abs() < 0.51);
                }
            }
            to_rgb(lines.each_ref().map(|line| line.as_slice()), true, &mut row);
            prop_assert_eq!(row, values.concat());
        }
    }
}
