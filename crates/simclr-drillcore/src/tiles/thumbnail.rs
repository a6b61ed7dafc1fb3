//! A photograph at the size of its preview.

use std::ops::Range;

use image::RgbImage;
use simclr_augment::RowSink;

use crate::error::{Error, Result};

/// A picture of at most so many columns, whose pixels are means; made row by row.
pub(super) struct Thumbnail {
    widest: usize,
    /// Rows and columns of the photograph.
    size: (usize, usize),
    height: usize,
    columns: Vec<Range<usize>>,
    /// The sums of the row that is being made.
    sums: Vec<[u64; 3]>,
    pixels: Vec<u8>,
    /// Rows of the photograph so far, and rows made.
    rows: usize,
    made: usize,
}

impl Thumbnail {
    pub(super) fn new(widest: usize) -> Self {
        Self {
            widest,
            size: (0, 0),
            height: 0,
            columns: Vec::new(),
            sums: Vec::new(),
            pixels: Vec::new(),
            rows: 0,
            made: 0,
        }
    }

    pub(super) fn finish(self, section: &str) -> Result<RgbImage> {
        let (width, height) = (self.columns.len() as u32, self.height as u32);
        let picture = RgbImage::from_raw(width, height, self.pixels);
        picture.ok_or_else(|| Error::picture(section, "rows of the photograph are missing"))
    }

    fn add_row(&mut self, row: &[u8]) {
        for (sums, columns) in self.sums.iter_mut().zip(&self.columns) {
            for pixel in row[columns.start * 3..columns.end * 3].chunks_exact(3) {
                (0..3).for_each(|channel| sums[channel] += u64::from(pixel[channel]));
            }
        }
        self.rows += 1;
        let range = share(self.made, self.height, self.size.0);
        if self.rows < range.end {
            return;
        }
        for (sums, columns) in self.sums.iter_mut().zip(&self.columns) {
            let count = (range.len() * columns.len()) as u64;
            self.pixels.extend(sums.map(|sum| (sum / count) as u8));
            *sums = [0; 3];
        }
        self.made += 1;
    }
}

impl RowSink for Thumbnail {
    fn begin(&mut self, height: usize, width: usize) {
        let columns = self.widest.min(width);
        self.size = (height, width);
        self.height = ((height as u64 * columns as u64 / width as u64) as usize).max(1);
        self.columns = (0..columns)
            .map(|column| share(column, columns, width))
            .collect();
        self.sums = vec![[0; 3]; columns];
    }

    fn rows(&mut self, rgb: &[u8]) {
        for row in rgb.chunks_exact(self.size.1 * 3) {
            self.add_row(row);
        }
    }
}

/// Which of `size` places the `index`-th of `count` parts takes.
fn share(index: usize, count: usize, size: usize) -> Range<usize> {
    let at = |index: usize| (index as u64 * size as u64 / count as u64) as usize;
    at(index)..at(index + 1).max(at(index) + 1)
}
