//! The tiles that Winograd's form divides maps into.

use std::ops::Range;

use crate::fused::chunks::ranges;
use crate::fused::convolution::sizes::Convolution;

/// What the channels have to be a multiple of: a whole number of registers at any level.
pub(super) const LANES: usize = 16;

/// The distance of two positions' matrices of `size` numbers: such that the places
/// that a tile is written to do not fall on one another in the caches.
pub(super) fn stride(size: usize) -> usize {
    size.next_multiple_of(LANES) + LANES
}

/// The tiles of a batch of maps: rows of tiles, image after image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiles {
    /// Rows and columns of outputs of a tile: 2 or 4.
    side: usize,
    batch: usize,
    height: usize,
    width: usize,
}

/// A square of pixels, in part perhaps outside of the map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<const N: usize> {
    /// The number of the pixel in each row's first column, wherever that lies; `None` where the
    /// row lies outside.
    rows: [Option<usize>; N],
    /// Whether each column lies inside.
    columns: [bool; N],
}

impl<const N: usize> Window<N> {
    pub(super) const OUTSIDE: Self = Self {
        rows: [None; N],
        columns: [false; N],
    };

    /// The first pixels of all rows, if all pixels lie inside.
    #[inline(always)]
    pub(super) fn inside(&self) -> Option<[usize; N]> {
        let mut first = [0; N];
        for (first, row) in first.iter_mut().zip(self.rows) {
            *first = row?;
        }
        (self.columns == [true; N]).then_some(first)
    }

    /// A pixel's number, if it lies inside.
    #[inline(always)]
    pub(super) fn pixel(&self, row: usize, column: usize) -> Option<usize> {
        let first = self.rows[row].filter(|_| self.columns[column]);
        first.map(|first| first.wrapping_add(column))
    }
}

/// Where a tile begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    image: usize,
    row: usize,
    column: usize,
}

impl Tiles {
    pub(super) fn of(convolution: &Convolution, side: usize) -> Self {
        Self {
            side,
            batch: convolution.batch,
            height: convolution.windows.rows.input,
            width: convolution.windows.columns.input,
        }
    }

    pub(super) fn side(&self) -> usize {
        self.side
    }

    /// Products per tile.
    pub(super) fn positions(&self) -> usize {
        (self.side + 2).pow(2)
    }

    pub(super) fn columns(&self) -> usize {
        self.width.div_ceil(self.side)
    }

    pub(super) fn rows_of_image(&self) -> usize {
        self.height.div_ceil(self.side)
    }

    pub(super) fn rows(&self) -> usize {
        self.batch * self.rows_of_image()
    }

    /// The first pixel of a row of tiles; for the number of rows, that of pixels.
    pub(super) fn first_pixel(&self, row: usize) -> usize {
        let (image, row) = (row / self.rows_of_image(), row % self.rows_of_image());
        (image * self.height + self.side * row) * self.width
    }

    pub(super) fn place(&self, tile: usize) -> Place {
        let (row, column) = (tile / self.columns(), tile % self.columns());
        Place {
            image: row / self.rows_of_image(),
            row: self.side * (row % self.rows_of_image()),
            column: self.side * column,
        }
    }

    /// The pixels that the tile sees, `M` being two more than its side.
    #[inline(always)]
    pub(super) fn inputs<const M: usize>(&self, place: Place) -> Window<M> {
        self.window(place, 1)
    }

    /// The pixels of the tile, `T` being its side.
    #[inline(always)]
    pub(super) fn outputs<const T: usize>(&self, place: Place) -> Window<T> {
        self.window(place, 0)
    }

    #[inline(always)]
    fn window<const N: usize>(&self, place: Place, border: usize) -> Window<N> {
        let mut window = Window::OUTSIDE;
        let left = place.column.wrapping_sub(border);
        for (index, (row, column)) in window.rows.iter_mut().zip(&mut window.columns).enumerate() {
            let number = (place.row + index).wrapping_sub(border);
            // Of a row above the image this is no place, and nobody asks for it.
            let first = (place.image * self.height).wrapping_add(number);
            let first = first.wrapping_mul(self.width);
            *row = (number < self.height).then(|| first.wrapping_add(left));
            *column = left.wrapping_add(index) < self.width;
        }
        window
    }

    /// Ranges of rows of tiles, of about `tiles` tiles each.
    pub(super) fn blocks(&self, tiles: usize) -> Vec<Range<usize>> {
        let rows = self.rows();
        let count = rows.div_ceil((tiles / self.columns()).max(1));
        let size = rows.div_ceil(count.max(1)).max(1);
        ranges(rows, size)
    }
}
