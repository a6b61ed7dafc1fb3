//! Matrix products in blocks of bfloat16 tiles.

use std::cell::RefCell;

use pulp::Simd;

use super::blocks::BlockMut;
use super::level::unsupported;
use super::microkernel::write_tile;
use super::row_table::RowTable;
use super::scratch::Scratch;
use super::tile_epilogue::TileEpilogue;
use super::tile_layout::{BLOCK, OPERAND, PAIRS, SIDE};
use super::tile_unit::TileUnit;
use super::vector::load_from;

/// Steps of a sum that all panels meet before the next ones, at most. Per block of sums AMX needs
/// 64 bytes a cycle, which the first-level cache gives (128) and the second-level cache does not
/// (64 at best). 12 steps of the left operand are 24 KiB, half of Sapphire Rapids' first-level
/// cache, and stay there while panels of the right one pass by from the second-level cache, at 32
/// bytes a cycle. What it costs: a block of sums goes to the first-level cache and back
/// once in 12 steps, 8 loads and stores beside 48 products.
const STEPS: usize = 12;

/// Rows that an epilogue sees at once: short sums of statistics, few enough for registers.
const EPILOGUE_ROWS: usize = 8;

thread_local! {
    static SCRATCH: RefCell<[Scratch; 2]> = const { RefCell::new([Scratch::new(), Scratch::new()]) };
}

/// [`multiply`](super::multiply) for rows and panels of pairs, on tiles.
#[inline(always)]
pub(super) fn multiply<S: Simd, E: TileEpilogue>(
    simd: S,
    unit: TileUnit,
    table: &RowTable<'_>,
    panels: &[f32],
    block: &mut BlockMut<'_>,
    epilogues: &mut [E],
) {
    match S::F32_LANES {
        16 => multiply_blocks::<S, 2, E>(simd, unit, table, panels, block, epilogues),
        8 => multiply_blocks::<S, 4, E>(simd, unit, table, panels, block, epilogues),
        4 => multiply_blocks::<S, 8, E>(simd, unit, table, panels, block, epilogues),
        lanes => unsupported((lanes, SIDE, SIDE)),
    }
}

#[inline(always)]
fn multiply_blocks<S: Simd, const VECTORS: usize, E: TileEpilogue>(
    simd: S,
    unit: TileUnit,
    table: &RowTable<'_>,
    panels: &[f32],
    block: &mut BlockMut<'_>,
    epilogues: &mut [E],
) {
    let steps = (table.taps * table.run).div_ceil(PAIRS);
    let size = steps * OPERAND;
    assert!(panels.len() >= epilogues.len() * size && block.columns() <= epilogues.len() * SIDE);
    let [mut left, mut sums] = SCRATCH.take();
    let tiles = unit.tiles();
    let parts = table.operands.parts().len();
    let steps = steps / parts;
    let pieces = (parts * steps).div_ceil(STEPS).max(1);
    let length = steps.div_ceil(pieces);
    for (tile, targets) in table.targets.chunks(SIDE).enumerate() {
        let left = left.room(size);
        pack_rows(table, tile, left);
        let (sums, _) = sums.room(epilogues.len() * BLOCK).as_chunks_mut::<BLOCK>();
        for piece in 0..pieces {
            let part = piece * length * OPERAND..steps.min((piece + 1) * length) * OPERAND;
            for (index, (sums, epilogue)) in sums.iter_mut().zip(&mut *epilogues).enumerate() {
                let panel = &panels[index * size..(index + 1) * size];
                if piece + 1 == pieces {
                    epilogue.prefetch(targets);
                }
                let left = |of| &left[of * steps * OPERAND..][part.clone()];
                let right = |of| &panel[of * steps * OPERAND..][part.clone()];
                tiles.multiply(simd, parts, left, right, sums, piece > 0);
                if piece + 1 == pieces {
                    let columns = index * SIDE..block.columns().min((index + 1) * SIDE);
                    let mut block = block.narrow(columns);
                    finish::<S, VECTORS, E>(simd, sums, targets, epilogue, &mut block);
                }
            }
        }
    }
    drop(tiles);
    SCRATCH.set([left, sums]);
}

/// Applies the epilogue to a block of sums and writes it.
#[inline(always)]
fn finish<S: Simd, const VECTORS: usize, E: TileEpilogue>(
    simd: S,
    sums: &[f32; BLOCK],
    targets: &[usize],
    epilogue: &mut E,
    block: &mut BlockMut<'_>,
) {
    let (sums, _) = sums.as_chunks::<SIDE>();
    for (targets, sums) in targets
        .chunks(EPILOGUE_ROWS)
        .zip(sums.chunks(EPILOGUE_ROWS))
    {
        let mut values = [[simd.splat_f32s(0.0); VECTORS]; EPILOGUE_ROWS];
        for (values, sums) in values.iter_mut().zip(sums) {
            for (vector, value) in values.iter_mut().enumerate() {
                *value = load_from::<S>(&sums[vector * S::F32_LANES..]);
            }
        }
        let values = &mut values[..targets.len()];
        epilogue.tile(simd, 0, values, targets);
        write_tile(simd, values, targets, block);
    }
}

/// The runs of 32 rows as a left operand, zeros behind their end.
#[inline(always)]
fn pack_rows(table: &RowTable<'_>, tile: usize, left: &mut [f32]) {
    let pointers = &table.pointers[tile * table.taps * SIDE..][..table.taps * SIDE];
    let (lines, _) = left.as_chunks_mut::<PAIRS>();
    if table.run.is_multiple_of(PAIRS) {
        let mut lines = lines.iter_mut();
        for pointers in pointers.chunks_exact(SIDE) {
            for first in (0..table.run).step_by(PAIRS) {
                for (pointer, line) in pointers.iter().zip(&mut lines) {
                    // SAFETY: each pointer is one to at least `run` numbers that the table
                    // borrows, and `first + PAIRS` is at most `run`.
                    *line = unsafe { pointer.add(first).cast::<[f32; PAIRS]>().read() };
                }
            }
        }
        return;
    }
    lines.as_flattened_mut().fill(0.0);
    for (tap, pointers) in pointers.chunks_exact(SIDE).enumerate() {
        for (row, &pointer) in pointers.iter().enumerate() {
            // SAFETY: each pointer is one to at least `run` numbers that the table borrows.
            let run = unsafe { std::slice::from_raw_parts(pointer, table.run) };
            for (offset, &pair) in run.iter().enumerate() {
                let place = tap * table.run + offset;
                lines[place / PAIRS * SIDE + row][place % PAIRS] = pair;
            }
        }
    }
}
