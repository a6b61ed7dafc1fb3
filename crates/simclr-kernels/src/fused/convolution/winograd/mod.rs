//! Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray, 2015) for 3x3 kernels with
//! stride 1: 16 multiplications for four outputs, where the direct form needs 36.
//!
//! `y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A` for tiles of 2x2 outputs that see 4x4 inputs. Summed over
//! channels, the middle is 16 matrix products. The gradients are the same products with the
//! transforms transposed.

mod kernel_gradient;
mod output;
mod transform;

use std::ops::Range;

use super::Convolution;
use crate::geometry::{Span, Windows};

pub(super) use kernel_gradient::gradient;
pub(super) use output::Product;

/// Products per tile.
const POSITIONS: usize = 16;

/// What the channels have to be a multiple of: a whole number of registers at any level.
const LANES: usize = 16;

/// The distance of two positions' matrices of `size` numbers: such that the sixteen places
/// that a tile is written to do not fall on one another in the caches.
fn stride(size: usize) -> usize {
    size.next_multiple_of(LANES) + LANES
}

/// Whether the convolution can be done this way, and gains by it: with few channels the
/// transforms weigh too much, with few tiles that of the kernel does, and on the smallest
/// maps much of a tile lies outside. The limits were measured.
pub(super) fn suits(convolution: &Convolution) -> bool {
    const FEWEST: usize = 32;
    let plain =
        |span: &Span| span.window == 3 && span.stride == 1 && span.before == 1 && span.after == 1;
    let fits = |channels: usize| channels >= FEWEST && channels.is_multiple_of(LANES);
    let Windows { rows, columns } = &convolution.windows;
    // Multiplications per map: those of the direct form at least 3/2 of ours.
    let direct = 9 * rows.output * columns.output;
    let ours = POSITIONS * rows.output.div_ceil(2) * columns.output.div_ceil(2);
    plain(rows)
        && plain(columns)
        && fits(convolution.inputs)
        && fits(convolution.outputs)
        && 2 * direct >= 3 * ours
        && 2 * convolution.batch * ours / POSITIONS >= convolution.inputs.max(convolution.outputs)
}

/// The tiles of a batch of maps: rows of tiles, image after image.
#[derive(Debug, Clone, Copy)]
struct Tiles {
    batch: usize,
    height: usize,
    width: usize,
}

/// Where a tile begins.
#[derive(Debug, Clone, Copy)]
struct Place {
    image: usize,
    row: usize,
    column: usize,
}

impl Tiles {
    fn of(convolution: &Convolution) -> Self {
        Self {
            batch: convolution.batch,
            height: convolution.windows.rows.input,
            width: convolution.windows.columns.input,
        }
    }

    fn columns(&self) -> usize {
        self.width.div_ceil(2)
    }

    fn rows_of_image(&self) -> usize {
        self.height.div_ceil(2)
    }

    fn rows(&self) -> usize {
        self.batch * self.rows_of_image()
    }

    /// The first pixel of a row of tiles; for the number of rows, that of pixels.
    fn first_pixel(&self, row: usize) -> usize {
        let (image, row) = (row / self.rows_of_image(), row % self.rows_of_image());
        (image * self.height + 2 * row) * self.width
    }

    fn place(&self, tile: usize) -> Place {
        let (row, column) = (tile / self.columns(), tile % self.columns());
        Place {
            image: row / self.rows_of_image(),
            row: 2 * (row % self.rows_of_image()),
            column: 2 * column,
        }
    }

    /// The 4x4 pixels that the tile sees, row by row; `None` outside of the map.
    #[inline(always)]
    fn inputs(&self, place: Place) -> [Option<usize>; 16] {
        let mut pixels = [None; 16];
        for (index, pixel) in pixels.iter_mut().enumerate() {
            *pixel = self.pixel(place, index / 4, index % 4, 1);
        }
        pixels
    }

    /// The 2x2 pixels of the tile, row by row; `None` outside of the map.
    #[inline(always)]
    fn outputs(&self, place: Place) -> [Option<usize>; 4] {
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
    fn blocks(&self, tiles: usize) -> Vec<Range<usize>> {
        let rows = self.rows();
        let count = rows.div_ceil((tiles / self.columns()).max(1));
        let size = rows.div_ceil(count.max(1)).max(1);
        (0..rows)
            .step_by(size)
            .map(|start| start..rows.min(start + size))
            .collect()
    }
}
