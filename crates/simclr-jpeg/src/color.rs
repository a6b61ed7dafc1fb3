/// What the components of a picture are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ColorSpace {
    Gray,
    YCbCr,
    Rgb,
    /// Inks: cyan, magenta, yellow and black.
    Cmyk,
    /// Complements of inks, which files with an Adobe segment hold.
    AdobeCmyk,
    /// The same, the first three as YCbCr of the inks.
    AdobeYcck,
    /// Not told, or of no matter: the pixels have the components as they are.
    Stored,
}

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

/// Inks to red, green and blue by TensorFlow's rule.
pub(crate) fn inks_to_rgb(lines: [&[u8]; 4], space: ColorSpace, row: &mut [u8]) {
    let [first, second, third, black] = lines;
    to_rgb([first, second, third], space != ColorSpace::AdobeYcck, row);
    let flip = if space == ColorSpace::AdobeCmyk {
        0
    } else {
        255
    };
    let flip_black = if space == ColorSpace::Cmyk { 255 } else { 0 };
    for (pixel, black) in row.as_chunks_mut::<3>().0.iter_mut().zip(black) {
        let light = u16::from(black ^ flip_black);
        *pixel = pixel.map(|value| (light * u16::from(value ^ flip) / 255) as u8);
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
    pulp::Arch::new().dispatch(Interleave { planes, row });
}

struct Interleave<'a> {
    planes: [&'a [u8]; 3],
    row: &'a mut [u8],
}

impl pulp::NullaryFnOnce for Interleave<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let (pixels, _) = self.row.as_chunks_mut::<3>();
        let [a, b, c] = self.planes;
        let count = pixels.len().min(a.len()).min(b.len()).min(c.len());
        let (pixels, a, b, c) = (&mut pixels[..count], &a[..count], &b[..count], &c[..count]);
        for i in 0..count {
            pixels[i][0] = a[i];
            pixels[i][1] = b[i];
            pixels[i][2] = c[i];
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn inks_take_away_light() {
        let pixel = |value: [u8; 4], space| {
            let mut row = [0; 3];
            inks_to_rgb(value.each_ref().map(std::slice::from_ref), space, &mut row);
            row
        };
        let [cyan, dark] = [[255, 0, 0, 0], [20, 30, 40, 155]];
        assert_eq!(pixel(cyan, ColorSpace::Cmyk), [0, 255, 255]);
        assert_eq!(pixel(dark, ColorSpace::Cmyk), [92, 88, 84]);
        assert_eq!(
            pixel(cyan.map(|v| 255 - v), ColorSpace::AdobeCmyk),
            [0, 255, 255]
        );
        assert_eq!(
            pixel(dark.map(|v| 255 - v), ColorSpace::AdobeCmyk),
            [92, 88, 84]
        );
        // Inks of 55 each, and light of 102.
        assert_eq!(pixel([55, 128, 128, 102], ColorSpace::AdobeYcck), [80; 3]);
    }

    proptest! {
        #[test]
        fn planes_are_interleaved(values in prop::collection::vec(any::<[u8; 3]>(), 0..150)) {
            let planes = [0, 1, 2].map(|c| values.iter().map(|v| v[c]).collect::<Vec<u8>>());
            let mut row = vec![0; 3 * values.len()];
            interleave(planes.each_ref().map(Vec::as_slice), &mut row);
            prop_assert_eq!(&row, &values.concat());
            gray_to_rgb(&planes[0], &mut row);
            prop_assert!(row.chunks(3).zip(&planes[0]).all(|(pixel, &value)| pixel == [value; 3]));
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
