//! A photograph at the size at which the core is looked for.

use simclr_augment::{DecodedImage, RowSink, RowSource};

/// Columns at most.
const WIDEST: usize = 400;

/// A photograph whose pixels are means of `factor` x `factor` pixels; made row by row.
#[derive(Default)]
pub(crate) struct Reduced {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) factor: usize,
    /// Rows and columns of the photograph.
    pub(super) full: (usize, usize),
    /// Rows of the photograph so far.
    rows: usize,
    pixels: Vec<[f32; 3]>,
}

impl Reduced {
    pub(super) fn of(picture: &DecodedImage) -> Self {
        let mut reduced = Self::default();
        let Ok(()) = picture.read_rows(&mut reduced);
        reduced
    }

    fn add_row(&mut self, row: &[u8]) {
        let (factor, top) = (self.factor, self.rows / self.factor);
        self.rows += 1;
        if top >= self.height {
            return;
        }
        let into = &mut self.pixels[top * self.width..][..self.width];
        for (pixel, block) in into.iter_mut().zip(row.chunks_exact(3 * factor)) {
            for value in block.chunks_exact(3) {
                (0..3).for_each(|channel| pixel[channel] += f32::from(value[channel]));
            }
        }
        if self.rows.is_multiple_of(factor) {
            let share = 1.0 / (factor * factor) as f32;
            into.iter_mut().flatten().for_each(|value| *value *= share);
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

impl RowSink for Reduced {
    fn begin(&mut self, height: usize, width: usize) {
        let factor = width.div_ceil(WIDEST).max(1);
        *self = Self {
            width: width / factor,
            height: height / factor,
            factor,
            full: (height, width),
            rows: 0,
            pixels: vec![[0.0; 3]; (width / factor) * (height / factor)],
        };
    }

    fn rows(&mut self, rgb: &[u8]) {
        for row in rgb.chunks_exact(self.full.1 * 3) {
            self.add_row(row);
        }
    }
}

/// The Euclidean distance of two colours.
pub(super) fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
    squares.sum::<f32>().sqrt()
}
