//! Matrix products on every level, of all kinds of operands.

use pulp::Simd;

#[cfg(target_arch = "x86_64")]
use super::avx512_bf16;
use super::bfloat16_tiles;
use super::blocks::BlockMut;
use super::level::{Tile, unsupported};
use super::microkernel::{Numbers, multiply_tiles};
use super::operands::Operands;
use super::pairs::Pairs;
use super::row_table::RowTable;
use super::tile_epilogue::TileEpilogue;

/// `block[target(r), c] = Σ over k of row(r)[k] panels[k, c]`, for all rows of the table, and
/// what follows it.
///
/// There is a panel `[panel rows, tile columns]` ([`Operands::panel_rows`] of `taps * run`) for
/// each of `epilogues`, side by side; the unused
/// columns of the last one are filled with anything. A tile of rows meets all panels before
/// the next one does, so that rows of the result are written, and those of what is added to
/// them are read, in long pieces.
#[inline(always)]
pub(crate) fn multiply<S: Simd, E: TileEpilogue>(
    simd: S,
    table: &RowTable<'_>,
    panels: &[f32],
    block: &mut BlockMut<'_>,
    epilogues: &mut [E],
) {
    let Tile { rows, columns } = table.tile;
    match (S::F32_LANES, rows, columns, table.operands) {
        (.., Operands::Tiles(unit)) => {
            bfloat16_tiles::multiply(simd, unit, table, panels, block, epilogues)
        }
        (16, 12, 32, Operands::Single) => {
            multiply_tiles::<S, Numbers, 12, 2, E>(simd, table, panels, block, epilogues)
        }
        (8, 6, 16, Operands::Single) => {
            multiply_tiles::<S, Numbers, 6, 2, E>(simd, table, panels, block, epilogues)
        }
        (4, 6, 16, Operands::Single) => {
            multiply_tiles::<S, Numbers, 6, 4, E>(simd, table, panels, block, epilogues)
        }
        #[cfg(target_arch = "x86_64")]
        (16, 12, 32, Operands::Pairs) => avx512_bf16::multiply(table, panels, block, epilogues),
        (8, 6, 16, Operands::Pairs) => {
            multiply_tiles::<S, Pairs, 6, 2, E>(simd, table, panels, block, epilogues)
        }
        (lanes, rows, columns, _) => unsupported((lanes, rows, columns)),
    }
}
