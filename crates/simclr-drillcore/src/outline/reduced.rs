//! A photograph at the size at which the core is looked for.

use simclr_augment::DecodedImage;

/// Columns at most.
const WIDEST: usize = 400;

/// A photograph whose pixels are means of `factor` x `factor` pixels.
pub(super) struct Reduced {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) factor: usize,
    pixels: Vec<[f32; 3]>,
}

impl Reduced {
    pub(super) fn of(picture: &DecodedImage) -> Self {
        let factor = picture.width().div_ceil(WIDEST).max(1);
        let (width, height) = (picture.width() / factor, picture.height() / factor);
        let mut pixels = vec![[0.0; 3]; width * height];
        let line = picture.width() * 3;
        let rows = picture.data().chunks_exact(line).take(height * factor);
        for (row, values) in rows.enumerate() {
            let into = &mut pixels[row / factor * width..][..width];
            for (pixel, block) in into.iter_mut().zip(values.chunks_exact(3 * factor)) {
                for value in block.chunks_exact(3) {
                    (0..3).for_each(|channel| pixel[channel] += f32::from(value[channel]));
                }
            }
        }
        let share = 1.0 / (factor * factor) as f32;
        pixels
            .iter_mut()
            .flatten()
            .for_each(|value| *value *= share);
        Self {
            width,
            height,
            factor,
            pixels,
        }
    }

    /// The pixel that holds a point, or the nearest one.
    pub(super) fn at(&self, column: f64, row: f64) -> [f32; 3] {
        let place = |value: f64, size: usize| (value.max(0.0) as usize).min(size - 1);
        self.pixels[place(row, self.height) * self.width + place(column, self.width)]
    }

    pub(super) fn row(&self, row: usize) -> &[[f32; 3]] {
        &self.pixels[row * self.width..][..self.width]
    }
}

/// The Euclidean distance of two colours.
pub(super) fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
    squares.sum::<f32>().sqrt()
}
