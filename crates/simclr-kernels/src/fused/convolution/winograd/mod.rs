//! Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray, 2015) for 3x3 kernels with
//! stride 1: 16 multiplications for four outputs, where the direct form needs 36. Also F(4x4, 3x3):
//! 36 for sixteen, where the direct form needs 144.
//!
//! `y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A` for tiles of 2x2 or 4x4 outputs that see 4x4 or 6x6 inputs. Summed
//! over channels, the middle is 16 or 36 matrix products. The gradients are the same products, for the
//! kernel with the transforms transposed.

mod kernel_gradient;
mod output;
mod six;
mod tiles;
mod transform;

use super::sizes::Convolution;
use crate::geometry::{Span, Windows};
use crate::simd::Operands;
use tiles::LANES;

pub(super) use kernel_gradient::kernel_gradient;
pub(super) use output::Product;

/// Whether the convolution can be done this way, and gains by it: with few channels the
/// transforms weigh too much, with few tiles that of the kernel does, and on the smallest
/// maps much of a tile lies outside. The limits were measured.
pub(super) fn suits(convolution: &Convolution) -> bool {
    suits_tiles(convolution, 2)
}

/// Rows and columns of the tiles by which map or gradient are computed sooner: 4, with 36 multiplications for
/// sixteen outputs, or 2. Numbers that are rounded to bfloat16 would lose too much by the former's
/// transforms.
pub(super) fn side(convolution: &Convolution) -> usize {
    // In the time in which the weights of a position are transformed, so many tiles are multiplied.
    const WEIGHTS: usize = 50;
    let cost = |side: usize| (side + 2).pow(2) * (tiles_of_batch(convolution, side) + WEIGHTS);
    let suits = convolution.operands() == Operands::Single && suits_tiles(convolution, 4);
    if suits && cost(4) < cost(2) { 4 } else { 2 }
}

fn tiles_of_batch(convolution: &Convolution, side: usize) -> usize {
    let Windows { rows, columns } = &convolution.windows;
    convolution.batch * rows.output.div_ceil(side) * columns.output.div_ceil(side)
}

fn suits_tiles(convolution: &Convolution, side: usize) -> bool {
    const FEWEST: usize = 32;
    let plain =
        |span: &Span| span.window == 3 && span.stride == 1 && span.before == 1 && span.after == 1;
    let unit = LANES * convolution.operands().numbers();
    let fits = |channels: usize| channels >= FEWEST && channels.is_multiple_of(unit);
    let Windows { rows, columns } = &convolution.windows;
    // Multiplications: those of the direct form at least 3/2 of ours.
    let direct = 9 * convolution.batch * rows.output * columns.output;
    let tiles = tiles_of_batch(convolution, side);
    let ours = (side + 2).pow(2) * tiles;
    plain(rows)
        && plain(columns)
        && fits(convolution.inputs)
        && fits(convolution.outputs)
        && 2 * direct >= 3 * ours
        && 2 * tiles >= convolution.inputs.max(convolution.outputs)
}
