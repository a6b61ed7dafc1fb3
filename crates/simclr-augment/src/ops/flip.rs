use crate::image::Image;

/// Mirrors left-right (`tf.image.flip_left_right`).
pub fn flip_left_right(image: &Image) -> Image {
    let mut flipped = image.clone();
    let rows = flipped.pixels_mut().chunks_exact_mut(image.width());
    rows.for_each(<[_]>::reverse);
    flipped
}

/// Mirrors up-down.
pub fn flip_up_down(image: &Image) -> Image {
    let mut flipped = image.clone();
    let rows = image.pixels().chunks_exact(image.width()).rev();
    let targets = flipped.pixels_mut().chunks_exact_mut(image.width());
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
        let image = Image::from_fn(2, 3, |i| i as f32);
        let reds = |image: &Image| -> Vec<f32> {
            image.pixels().iter().map(|pixel| pixel[0] / 3.0).collect()
        };
        assert_eq!(reds(&flip_left_right(&image)), [2., 1., 0., 5., 4., 3.]);
        assert_eq!(reds(&flip_up_down(&image)), [3., 4., 5., 0., 1., 2.]);
        assert_eq!(flip_left_right(&image).pixel(0, 0), Some([6.0, 7.0, 8.0]));
    }
}
