//! Flips.

use crate::{CHANNELS, Image};

/// Mirrors left-right (`tf.image.flip_left_right`).
pub fn flip_left_right(image: &Image) -> Image {
    let mut flipped = image.clone();
    for row in flipped
        .data_mut()
        .chunks_exact_mut(image.width() * CHANNELS)
    {
        let (pixels, _) = row.as_chunks_mut::<CHANNELS>();
        pixels.reverse();
    }
    flipped
}

/// Mirrors up-down.
pub fn flip_up_down(image: &Image) -> Image {
    let mut flipped = image.clone();
    let rows = image.data().chunks_exact(image.width() * CHANNELS).rev();
    let targets = flipped
        .data_mut()
        .chunks_exact_mut(image.width() * CHANNELS);
    for (target, row) in targets.zip(rows) {
        target.copy_from_slice(row);
    }
    flipped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flips_move_pixels() {
        let data = (0..18).map(|i| i as f32).collect();
        let image = Image::new(2, 3, data).unwrap();
        let reds = |image: &Image| -> Vec<f32> {
            image
                .data()
                .iter()
                .step_by(CHANNELS)
                .map(|v| v / 3.0)
                .collect()
        };
        assert_eq!(reds(&flip_left_right(&image)), [2., 1., 0., 5., 4., 3.]);
        assert_eq!(reds(&flip_up_down(&image)), [3., 4., 5., 0., 1., 2.]);
        assert_eq!(flip_left_right(&image).pixel(0, 0), Some([6.0, 7.0, 8.0]));
    }
}
