//! The gradient of a convolution's kernel: sums of outer products over all pixels.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::lattice::Lattice;
use super::{Convolution, Input};
use crate::memory::{Buffer, zeros};
use crate::simd::{FilterTile, SimdLevel, add_outer_products};

/// Pixels whose gradients are packed at a time.
const PACKED_PIXELS: usize = 192;

/// Columns whose gradients are packed at a time: with the pixels, what the second-level
/// cache holds.
const PACKED_COLUMNS: usize = 512;

/// The sum over pixels is cut into parts of at least this many, each with a sum of its own.
const PART_PIXELS: usize = 2048;

/// Parts and pieces that the work is cut into, if it can be: a constant, so that sums do
/// not depend on the number of threads.
const TASKS: usize = 16;

/// `dkernel[k, o] = Σ over pixels of columns[pixel, k] dy[pixel, o]`.
pub(super) fn gradient(
    level: SimdLevel,
    convolution: &Convolution,
    lattice: &Lattice,
    x: Input<'_>,
    dy: &[f32],
) -> Vec<f32> {
    let run = lattice.merged_columns() * convolution.inputs;
    let taps = lattice.kernel_taps().len();
    let plan = Plan {
        level,
        lattice,
        x,
        dy,
        source_size: (
            convolution.windows.rows.input,
            convolution.windows.columns.input,
        ),
        channels: convolution.inputs,
        run,
        outputs: convolution.outputs,
    };
    let pixels = convolution.output_pixels();
    let parts = (pixels / PART_PIXELS).clamp(1, TASKS);
    let pieces = plan.pieces(taps, TASKS.div_ceil(parts));
    let part = pixels.div_ceil(parts);
    let partial: Vec<Buffer> = (0..parts * pieces.len())
        .into_par_iter()
        .with_max_len(1)
        .map(|task| {
            let (index, piece) = (task / pieces.len(), &pieces[task % pieces.len()]);
            let pixels = index * part..pixels.min((index + 1) * part);
            level.run(Task {
                plan: &plan,
                pixels,
                piece,
            })
        })
        .collect();
    let mut gradient = vec![0.0; convolution.depth() * plan.outputs];
    let mut rest = gradient.as_mut_slice();
    let mut targets = Vec::with_capacity(pieces.len());
    for piece in &pieces {
        let (target, others) = rest.split_at_mut(piece.len() * plan.outputs);
        targets.push(target);
        rest = others;
    }
    targets
        .into_par_iter()
        .enumerate()
        .for_each(|(piece, target)| {
            for part in partial.iter().skip(piece).step_by(pieces.len()) {
                for (sum, value) in target.iter_mut().zip(&**part) {
                    *sum += value;
                }
            }
        });
    gradient
}

struct Plan<'a> {
    level: SimdLevel,
    lattice: &'a Lattice,
    x: Input<'a>,
    dy: &'a [f32],
    source_size: (usize, usize),
    channels: usize,
    run: usize,
    outputs: usize,
}

/// Consecutive rows of the kernel, as (tap, rows within the tap's run).
struct Piece(Vec<(usize, Range<usize>)>);

impl Piece {
    fn len(&self) -> usize {
        self.0.iter().map(|(_, rows)| rows.len()).sum()
    }
}

impl Plan<'_> {
    /// Cuts the kernel's rows into about `count` pieces of tiles.
    fn pieces(&self, taps: usize, count: usize) -> Vec<Piece> {
        let rows = FilterTile::rows(self.level);
        let tiles: Vec<(usize, Range<usize>)> = (0..taps)
            .flat_map(|tap| {
                let starts = (0..self.run).step_by(rows);
                starts.map(move |start| (tap, start..self.run.min(start + rows)))
            })
            .collect();
        let size = tiles.len().div_ceil(count).max(1);
        tiles
            .chunks(size)
            .map(|tiles| Piece(tiles.to_vec()))
            .collect()
    }
}

struct Task<'t, 'a> {
    plan: &'t Plan<'a>,
    pixels: Range<usize>,
    piece: &'t Piece,
}

impl WithSimd for Task<'_, '_> {
    type Output = Buffer;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Buffer {
        let plan = self.plan;
        let width = plan.level.tile().columns;
        let mut sums = zeros(self.piece.len() * plan.outputs);
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let mut starts: Vec<Option<usize>> = Vec::new();
        let step = PACKED_PIXELS;
        for first in self.pixels.clone().step_by(step) {
            let pixels = first..self.pixels.end.min(first + step);
            for begin in (0..plan.outputs).step_by(PACKED_COLUMNS) {
                let columns = begin..plan.outputs.min(begin + PACKED_COLUMNS);
                match width {
                    32 => self.pack_gradients::<32>(pixels.clone(), columns.clone(), &mut right),
                    _ => self.pack_gradients::<16>(pixels.clone(), columns.clone(), &mut right),
                }
                let (mut row, mut tap_of_starts) = (0, None);
                for (tap, rows) in &self.piece.0 {
                    if tap_of_starts != Some(*tap) {
                        self.find_runs(pixels.clone(), *tap, &mut starts);
                        tap_of_starts = Some(*tap);
                    }
                    match FilterTile::rows(plan.level) {
                        8 => self.pack_rows::<8>(&starts, rows.clone(), &mut left),
                        _ => self.pack_rows::<6>(&starts, rows.clone(), &mut left),
                    }
                    let panels = right.chunks_exact(pixels.len() * width);
                    for (panel, column) in panels.zip(columns.clone().step_by(width)) {
                        let size = (rows.len(), width.min(columns.end - column));
                        let target = &mut sums[row * plan.outputs + column..];
                        let operands = (left.as_slice(), panel, pixels.len());
                        add_outer_products(simd, operands, target, plan.outputs, size);
                    }
                    row += rows.len();
                }
            }
        }
        sums
    }
}

impl Task<'_, '_> {
    /// `dy` of some pixels and columns, a panel of `WIDTH` columns after the other.
    #[inline(always)]
    fn pack_gradients<const WIDTH: usize>(
        &self,
        pixels: Range<usize>,
        columns: Range<usize>,
        packed: &mut Vec<f32>,
    ) {
        let panels = columns.len().div_ceil(WIDTH);
        packed.resize(panels * pixels.len() * WIDTH, 0.0);
        let starts = columns.clone().step_by(WIDTH);
        for (panel, start) in packed.chunks_exact_mut(pixels.len() * WIDTH).zip(starts) {
            let count = WIDTH.min(columns.end - start);
            let (rows, _) = panel.as_chunks_mut::<WIDTH>();
            for (row, pixel) in rows.iter_mut().zip(pixels.clone()) {
                let source = &self.plan.dy[pixel * self.plan.outputs + start..][..count];
                match source.first_chunk::<WIDTH>() {
                    Some(source) => *row = *source,
                    None => {
                        row[..count].copy_from_slice(source);
                        row[count..].fill(0.0);
                    }
                }
            }
        }
    }

    /// Where the run of each pixel begins at a tap; `None` in the padding.
    #[inline(always)]
    fn find_runs(&self, pixels: Range<usize>, tap: usize, starts: &mut Vec<Option<usize>>) {
        let plan = self.plan;
        let (height, width) = plan.source_size;
        let (row_tap, column_tap) = plan.lattice.tap(tap);
        starts.clear();
        starts.extend(pixels.map(|pixel| {
            let (image, row, column) = plan.lattice.position(pixel);
            let row = plan.lattice.rows.input(row, row_tap, height)?;
            let column = plan.lattice.columns.input(column, column_tap, width)?;
            Some(((image * height + row) * width + column) * plan.channels)
        }));
    }

    /// The same few numbers of each pixel's run, one pixel after the other.
    #[inline(always)]
    fn pack_rows<const TILE: usize>(
        &self,
        starts: &[Option<usize>],
        rows: Range<usize>,
        packed: &mut Vec<f32>,
    ) {
        packed.resize(starts.len() * TILE, 0.0);
        let (packed, _) = packed.as_chunks_mut::<TILE>();
        let x = self.plan.x.values;
        for (target, start) in packed.iter_mut().zip(starts) {
            let Some(start) = start else {
                *target = [0.0; TILE];
                continue;
            };
            let source = &x[start + rows.start..start + rows.end];
            match source.first_chunk::<TILE>() {
                Some(source) => *target = *source,
                None => {
                    target[..rows.len()].copy_from_slice(source);
                    target[rows.len()..].fill(0.0);
                }
            }
        }
        if let Some((scale, shift)) = self.plan.x.rectified {
            rectify(packed, starts, &scale[rows.clone()], &shift[rows]);
        }
    }
}

/// `max(x scale + shift, 0)` of packed rows; what is padding stays zero.
#[inline(always)]
fn rectify<const TILE: usize>(
    packed: &mut [[f32; TILE]],
    starts: &[Option<usize>],
    scale: &[f32],
    shift: &[f32],
) {
    let mut factors = [[0f32; TILE]; 2];
    factors[0][..scale.len()].copy_from_slice(scale);
    factors[1][..shift.len()].copy_from_slice(shift);
    let [scale, shift] = factors;
    for (row, start) in packed.iter_mut().zip(starts) {
        // Zero where the row is padding.
        let inside = if start.is_some() { 1.0 } else { 0.0 };
        for c in 0..TILE {
            let y = row[c] * scale[c] + inside * shift[c];
            row[c] = if y < 0.0 { 0.0 } else { y };
        }
    }
}
