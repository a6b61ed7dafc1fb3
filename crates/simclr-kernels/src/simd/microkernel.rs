//! The microkernel of matrix products: a tile of the result stays in registers while a
//! panel of the right operand passes by.

use pulp::Simd;

use super::blocks::BlockMut;
use super::prefetch::prefetch;
use super::row_table::{Piece, RowTable};
use super::tile_epilogue::TileEpilogue;
use super::vector::load;

/// What a number of an operand stands for, and how products of them are added up.
pub(super) trait Terms<S: Simd> {
    /// `sum + left right`.
    fn add(simd: S, left: S::f32s, right: S::f32s, sum: S::f32s) -> S::f32s;
}

/// Products of f32.
pub(super) struct Products;

impl<S: Simd> Terms<S> for Products {
    #[inline(always)]
    fn add(simd: S, left: S::f32s, right: S::f32s, sum: S::f32s) -> S::f32s {
        simd.mul_add_e_f32s(left, right, sum)
    }
}

#[inline(always)]
pub(super) fn multiply_tiles<
    S: Simd,
    T: Terms<S>,
    const ROWS: usize,
    const VECTORS: usize,
    E: TileEpilogue,
>(
    simd: S,
    table: &RowTable<'_>,
    panels: &[f32],
    block: &mut BlockMut<'_>,
    epilogues: &mut [E],
) {
    let width = VECTORS * S::F32_LANES;
    let size = table.taps * table.run * width;
    assert!(panels.len() >= epilogues.len() * size && block.columns() <= epilogues.len() * width);
    let pointers_of_tile = table.taps * ROWS;
    for (tile, targets) in table.targets.chunks(ROWS).enumerate() {
        let (pointers, next) = table.pointers[tile * pointers_of_tile..].split_at(pointers_of_tile);
        let prefetched = if table.prefetches_next {
            pointers_of_tile
        } else {
            0
        };
        let next = &next[..next.len().min(prefetched)];
        let mut next = next.chunks(pointers_of_tile.div_ceil(epilogues.len()).max(1));
        for (index, epilogue) in epilogues.iter_mut().enumerate() {
            let panel = &panels[index * size..(index + 1) * size];
            epilogue.prefetch(targets);
            for &pointer in next.next().unwrap_or_default() {
                // SAFETY: each pointer is one to at least `run` numbers that the table borrows.
                prefetch(unsafe { std::slice::from_raw_parts(pointer, table.run) });
            }
            let part = |piece: Piece| {
                let start = (piece.first_tap * table.run + piece.begin) * width;
                // SAFETY: there are `taps * ROWS` pointers, each to at least `run` numbers
                // that the table borrows; pieces lie within these and within the panel.
                unsafe {
                    let pointers = pointers.as_ptr().add(piece.first_tap * ROWS);
                    let panel = panel.as_ptr().add(start);
                    accumulate::<S, T, ROWS, VECTORS>(simd, pointers, piece, panel)
                }
            };
            let mut sums = part(table.piece(0));
            for piece in 1..table.pieces() {
                let part = part(table.piece(piece));
                for (sums, part) in sums.iter_mut().zip(&part) {
                    for (sum, &part) in sums.iter_mut().zip(part) {
                        *sum = simd.add_f32s(*sum, part);
                    }
                }
            }
            let sums = &mut sums[..targets.len()];
            epilogue.tile(simd, 0, sums, targets);
            let first = index * width;
            let columns = first..block.columns().min(first + width);
            write_tile(simd, sums, targets, &mut block.narrow(columns));
        }
    }
}

/// Writes the rows of a tile to their places.
#[inline(always)]
pub(super) fn write_tile<S: Simd, const VECTORS: usize>(
    simd: S,
    sums: &[[S::f32s; VECTORS]],
    targets: &[usize],
    block: &mut BlockMut<'_>,
) {
    for (sums, &target) in sums.iter().zip(targets) {
        block.store_row(simd, target, sums);
    }
}

/// # Safety
/// `pointers` has `taps * ROWS` pointers to `end` numbers each, `panel` has
/// `taps * (end - begin) * VECTORS * LANES` numbers.
#[inline(always)]
unsafe fn accumulate<S: Simd, T: Terms<S>, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    pointers: *const *const f32,
    piece: Piece,
    mut panel: *const f32,
) -> [[S::f32s; VECTORS]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    // SAFETY (of the block): see the function's contract; each access is at most at the
    // index that the loops' bounds allow.
    unsafe {
        for tap in 0..piece.taps {
            let mut rows = [std::ptr::null::<f32>(); ROWS];
            for (index, row) in rows.iter_mut().enumerate() {
                *row = *pointers.add(tap * ROWS + index);
            }
            for k in piece.begin..piece.end {
                let mut right = [simd.splat_f32s(0.0); VECTORS];
                for (vector, value) in right.iter_mut().enumerate() {
                    *value = load::<S>(panel.add(vector * S::F32_LANES));
                }
                for (row, sums) in rows.iter().zip(&mut sums) {
                    let left = simd.splat_f32s(*row.add(k));
                    for (sum, &right) in sums.iter_mut().zip(&right) {
                        *sum = T::add(simd, left, right, *sum);
                    }
                }
                panel = panel.add(VECTORS * S::F32_LANES);
            }
        }
    }
    sums
}
