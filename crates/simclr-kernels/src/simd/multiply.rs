//! Matrix products and sums of outer products on every level, of all kinds of operands.

use pulp::Simd;

#[cfg(target_arch = "x86_64")]
use super::avx512_bf16;
use super::bfloat16_tiles;
use super::blocks::BlockMut;
use super::level::{Tile, unsupported};
use super::microkernel::{Products, multiply_tiles};
use super::operands::Operands;
use super::outer_product::{OuterProducts, add_tile};
use super::pairs::PairProducts;
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
        (.., Operands::Tiles(unit) | Operands::SplitTiles(unit, _)) => {
            bfloat16_tiles::multiply(simd, unit, table, panels, block, epilogues)
        }
        (16, 12, 32, Operands::Single) => {
            multiply_tiles::<S, Products, 12, 2, E>(simd, table, panels, block, epilogues)
        }
        (8, 6, 16, Operands::Single) => {
            multiply_tiles::<S, Products, 6, 2, E>(simd, table, panels, block, epilogues)
        }
        (4, 6, 16, Operands::Single) => {
            multiply_tiles::<S, Products, 6, 4, E>(simd, table, panels, block, epilogues)
        }
        #[cfg(target_arch = "x86_64")]
        (16, 12, 32, Operands::Pairs) => avx512_bf16::multiply(table, panels, block, epilogues),
        (8, 6, 16, Operands::Pairs) => {
            multiply_tiles::<S, PairProducts, 6, 2, E>(simd, table, panels, block, epilogues)
        }
        (lanes, rows, columns, _) => unsupported((lanes, rows, columns)),
    }
}

/// `target[r, 0..columns] += Σ over p of left[p][r] right[p]`, for the first `rows` rows of
/// the tile; `size` is (rows, columns), `target` has rows of `stride` elements.
#[inline(always)]
pub(crate) fn add_outer_products<S: Simd>(
    simd: S,
    products: OuterProducts<'_>,
    target: &mut [f32],
    stride: usize,
    size: (usize, usize),
) {
    match (S::F32_LANES, products.tile_rows, products.operands) {
        (16, 12, Operands::Single) => {
            add_tile::<S, Products, 12, 2>(simd, products, target, stride, size)
        }
        (16, 8, Operands::Single) => {
            add_tile::<S, Products, 8, 2>(simd, products, target, stride, size)
        }
        (8, 6, Operands::Single) => {
            add_tile::<S, Products, 6, 2>(simd, products, target, stride, size)
        }
        (4, 6, Operands::Single) => {
            add_tile::<S, Products, 6, 4>(simd, products, target, stride, size)
        }
        #[cfg(target_arch = "x86_64")]
        (16, .., Operands::Pairs) => {
            avx512_bf16::add_outer_products(products, target, stride, size)
        }
        (8, 6, Operands::Pairs) => {
            add_tile::<S, PairProducts, 6, 2>(simd, products, target, stride, size)
        }
        (lanes, rows, _) => unsupported((lanes, rows, 0)),
    }
}
