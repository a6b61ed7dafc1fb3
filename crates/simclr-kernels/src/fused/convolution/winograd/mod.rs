//! Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray, 2015) for 3x3 kernels with
//! stride 1: 16 multiplications for four outputs, where the direct form needs 36.
//!
//! `y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A` for tiles of 2x2 outputs that see 4x4 inputs. Summed over
//! channels, the middle is 16 matrix products. The gradients are the same products with the
//! transforms transposed.

mod kernel_gradient;
mod output;
mod tiles;
mod transform;

use super::sizes::Convolution;
use crate::geometry::{Span, Windows};
use tiles::{LANES, POSITIONS};

pub(super) use kernel_gradient::kernel_gradient;
pub(super) use output::Product;

/// Whether the convolution can be done this way, and gains by it: with few channels the
/// transforms weigh too much, with few tiles that of the kernel does, and on the smallest
/// maps much of a tile lies outside. The limits were measured.
pub(super) fn suits(convolution: &Convolution) -> bool {
    const FEWEST: usize = 32;
    let plain =
        |span: &Span| span.window == 3 && span.stride == 1 && span.before == 1 && span.after == 1;
    let unit = LANES * convolution.operands().numbers();
    let fits = |channels: usize| channels >= FEWEST && channels.is_multiple_of(unit);
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
