use super::planes::{BLOCK, PixelOp, Planes, Sums};
use crate::image::{CHANNELS, Image};
use crate::simd::{Kernel, Level, vectorized};

/// One operation on every pixel, without a clip.
fn apply_one(image: &mut Image, op: PixelOp) {
    let pixels = image.pixels_mut();
    vectorized(OneOp { pixels, op });
}

/// `x * factor`: SimCLRv2's brightness. Not clipped.
pub fn scale_brightness(image: &mut Image, factor: f32) {
    apply_one(image, PixelOp::Scale(factor));
}

/// `x + delta`: SimCLRv1's brightness (`tf.image.adjust_brightness`). Not clipped.
pub fn offset_brightness(image: &mut Image, delta: f32) {
    apply_one(image, PixelOp::Offset(delta));
}

/// `(x - mean) * factor + mean` with the mean of each channel over the whole image
/// (`tf.image.adjust_contrast`). Not clipped.
pub fn adjust_contrast(image: &mut Image, factor: f32) {
    let pixels = image.pixels();
    let means = vectorized(ChannelSums { pixels }).means(pixels.len());
    apply_one(image, PixelOp::Contrast { factor, means });
}

/// Multiplies the saturation of HSV, limiting it to 1
/// (`tf.image.adjust_saturation`). Not clipped.
pub fn adjust_saturation(image: &mut Image, factor: f32) {
    apply_one(image, PixelOp::Saturation(factor));
}

/// Adds `delta` turns to the hue of HSV (`tf.image.adjust_hue`). Not clipped.
pub fn adjust_hue(image: &mut Image, delta: f32) {
    apply_one(image, PixelOp::Hue(delta));
}

/// The luma 0.2989 r + 0.587 g + 0.114 b in all three channels
/// (`tf.image.rgb_to_grayscale`, tiled).
pub fn grayscale(image: &mut Image) {
    apply_one(image, PixelOp::Grayscale);
}

/// Limits every value to [0, 1].
pub fn clip(image: &mut Image) {
    apply_one(image, PixelOp::Clip);
}

struct OneOp<'a> {
    pixels: &'a mut [[f32; CHANNELS]],
    op: PixelOp,
}

impl Kernel for OneOp<'_> {
    type Output = ();

    #[inline(always)]
    fn call<L: Level>(self, _: L) {
        let mut planes = Planes::new();
        for block in self.pixels.chunks_mut(BLOCK) {
            planes.load(block);
            planes.apply::<false>(self.op);
            planes.store(block);
        }
    }
}

struct ChannelSums<'a> {
    pixels: &'a [[f32; CHANNELS]],
}

impl Kernel for ChannelSums<'_> {
    type Output = Sums;

    #[inline(always)]
    fn call<L: Level>(self, _: L) -> Self::Output {
        let mut planes = Planes::new();
        let mut sums = Sums::new();
        for block in self.pixels.chunks(BLOCK) {
            planes.load(block);
            planes.add_sums(&mut sums);
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// HSV by the textbook, with a hue in turns.
    fn to_hsv([r, g, b]: [f64; 3]) -> [f64; 3] {
        let value = r.max(g).max(b);
        let chroma = value - r.min(g).min(b);
        let hue = if chroma == 0.0 {
            0.0
        } else if value == r {
            (g - b) / chroma
        } else if value == g {
            (b - r) / chroma + 2.0
        } else {
            (r - g) / chroma + 4.0
        };
        let saturation = if value > 0.0 { chroma / value } else { 0.0 };
        [(hue / 6.0).rem_euclid(1.0), saturation, value]
    }

    fn to_rgb([hue, saturation, value]: [f64; 3]) -> [f64; 3] {
        [5.0, 3.0, 1.0].map(|n: f64| {
            let k = (n + hue * 6.0).rem_euclid(6.0);
            value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
        })
    }

    fn pixel(color: [f32; 3]) -> Image {
        Image::filled(1, 1, color).unwrap()
    }

    fn assert_close(image: &Image, expected: [f64; 3]) {
        for (a, b) in image.data().iter().zip(expected) {
            let error = (f64::from(*a) - b).abs();
            assert!(error < 2e-6, "{:?} {expected:?}", image.data());
        }
    }

    proptest! {
        #[test]
        fn hue_and_saturation_are_those_of_the_textbook(
            color in prop::array::uniform3(0.0f32..=1.0),
            delta in -1.0f32..1.0,
            factor in 0.0f32..3.0,
        ) {
            let hsv = to_hsv(color.map(f64::from));
            let mut image = pixel(color);
            adjust_hue(&mut image, delta);
            assert_close(&image, to_rgb([hsv[0] + f64::from(delta), hsv[1], hsv[2]]));
            let mut image = pixel(color);
            adjust_saturation(&mut image, factor);
            assert_close(&image, to_rgb([hsv[0], (hsv[1] * f64::from(factor)).min(1.0), hsv[2]]));
        }
    }
}
