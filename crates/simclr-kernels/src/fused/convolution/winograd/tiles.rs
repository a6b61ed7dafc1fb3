//! The tiles that Winograd's form divides maps into.

use std::ops::Range;

use crate::fused::chunks::ranges;
use crate::fused::convolution::sizes::Convolution;

/// Products per tile.
pub(super) const POSITIONS: usize = 16;

/// What the channels have to be a multiple of: a whole number of registers at any level.
pub(super) const LANES: usize = 16;

/// The distance of two positions' matrices of `size` numbers: such that the sixteen places
/// that a tile is written to do not fall on one another in the caches.
pub(super) fn stride(size: usize) -> usize {
    size.next_multiple_of(LANES) + LANES
}

/// The tiles of a batch of maps: rows of tiles, image after image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiles {
    batch: usize,
    height: usize,
    width: usize,
}

/// Where a tile begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    image: usize,
    row: usize,
    column: usize,
}

impl Tiles {
    pub(super) fn of(convolution: &Convolution) -> Self {
        Self {
            batch: convolution.batch,
            height: convolution.windows.rows.input,
            width: convolution.windows.columns.input,
        }
    }

    pub(super) fn columns(&self) -> usize {
        self.width.div_ceil(2)
    }

    pub(super) fn rows_of_image(&self) -> usize {
        self.height.div_ceil(2)
    }

    pub(super) fn rows(&self) -> usize {
        self.batch * self.rows_of_image()
    }

    /// The first pixel of a row of tiles; for the number of rows, that of pixels.
    pub(super) fn first_pixel(&self, row: usize) -> usize {
        let (image, row) = (row / self.rows_of_image(), row % self.rows_of_image());
        (image * self.height + 2 * row) * self.width
    }

    pub(super) fn place(&self, tile: usize) -> Place {
        let (row, column) = (tile / self.columns(), tile % self.columns());
        Place {
            image: row / self.rows_of_image(),
            row: 2 * (row % self.rows_of_image()),
            column: 2 * column,
        }
    }

    /// The 4x4 pixels that the tile sees, row by row; `None` outside of the map.
    #[inline(always)]
    pub(super) fn inputs(&self, place: Place) -> [Option<usize>; 16] {
        let mut pixels = [None; 16];
        for (index, pixel) in pixels.iter_mut().enumerate() {
            *pixel = self.pixel(place, index / 4, index % 4, 1);
        }
        pixels
    }

    /// The 2x2 pixels of the tile, row by row; `None` outside of the map.
    #[inline(always)]
    pub(super) fn outputs(&self, place: Place) -> [Option<usize>; 4] {
        let mut pixels = [None; 4];
        for (index, pixel) in pixels.iter_mut().enumerate() {
            *pixel = self.pixel(place, index / 2, index % 2, 0);
        }
        pixels
    }

    #[inline(always)]
    fn pixel(&self, place: Place, row: usize, column: usize, border: usize) -> Option<usize> {
        let row = (place.row + row).wrapping_sub(border);
        let column = (place.column + column).wrapping_sub(border);
        let inside = row < self.height && column < self.width;
        inside.then(|| (place.image * self.height + row) * self.width + column)
    }

    /// Ranges of rows of tiles, of about `tiles` tiles each.
    pub(super) fn blocks(&self, tiles: usize) -> Vec<Range<usize>> {
        let rows = self.rows();
        let count = rows.div_ceil((tiles / self.columns()).max(1));
        let size = rows.div_ceil(count.max(1)).max(1);
        ranges(rows, size)
    }
}
