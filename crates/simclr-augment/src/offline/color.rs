//! Changes of colours.

use crate::image::Image;

/// Puts channel `order[i]` into the place of channel i.
pub(super) fn reorder(image: &mut Image, order: [usize; 3]) {
    for pixel in image.pixels_mut() {
        *pixel = order.map(|channel| pixel[channel]);
    }
}

/// Adds to saturation and value of HSV, within [0, 1]. Grey pixels have no hue and stay grey.
pub(super) fn shift(image: &mut Image, saturation: f32, value: f32) {
    for pixel in image.pixels_mut() {
        let brightest = pixel.iter().copied().fold(0.0, f32::max);
        let darkest = pixel.iter().copied().fold(brightest, f32::min);
        let lighter = (brightest + value).clamp(0.0, 1.0);
        let old = (brightest - darkest) / brightest.max(f32::MIN_POSITIVE);
        let new = (old + saturation).clamp(0.0, 1.0);
        // How far each channel is from the brightest one, as a part of the value.
        let growth = if old > 0.0 { new / old } else { 0.0 };
        let scale = brightest.max(f32::MIN_POSITIVE);
        *pixel = pixel.map(|channel| lighter * (1.0 - growth * (brightest - channel) / scale));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saturation_and_value_are_shifted() {
        let shifted = |color: [f32; 3], saturation, value| {
            let mut image = Image::filled(1, 1, color).unwrap();
            shift(&mut image, saturation, value);
            image.pixel(0, 0).unwrap()
        };
        let assert_close = |a: [f32; 3], b: [f32; 3]| {
            assert!(
                a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6),
                "{a:?} {b:?}"
            );
        };
        // Of saturation 0.5 and value 0.8.
        let color = [0.8, 0.4, 0.6];
        assert_close(shifted(color, 0.0, 0.0), color);
        assert_close(shifted(color, 0.25, 0.0), [0.8, 0.2, 0.5]);
        assert_close(shifted(color, 0.0, 0.2), [1.0, 0.5, 0.75]);
        assert_close(shifted(color, -0.7, 0.5), [1.0; 3]);
        assert_close(shifted([0.3; 3], 0.5, 0.1), [0.4; 3]);
        assert_close(shifted([0.0; 3], 0.5, -0.1), [0.0; 3]);
    }

    #[test]
    fn channels_change_places() {
        let mut image = Image::filled(2, 1, [0.1, 0.2, 0.3]).unwrap();
        reorder(&mut image, [2, 0, 1]);
        assert_eq!(image.pixel(1, 0), Some([0.3, 0.1, 0.2]));
    }
}
