//! The kernel's gradient: `Gᵀ [Σ over tiles of (Bᵀ d B) ⊙ (A dy Aᵀ)] G`.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::tiles::{Tiles, Window, stride};
use super::transform::{self, Partner, Places};
use crate::fused::chunks::ranges;
use crate::fused::convolution::input::Input;
use crate::fused::convolution::sizes::Convolution;
use crate::memory::{Buffer, gradient_buffer, zeros};
use crate::simd::{
    FilterTile, Operands, OuterProducts, SimdLevel, add_outer_products, fn_per_level, load,
    odd_lines, store, store_strided,
};

/// Products of a tile of two rows and columns.
const POSITIONS: usize = 16;

/// Tiles, or pairs of them, that are transformed at a time.
const BLOCK_STEPS: usize = 64;

/// Inputs and outputs of a task: with the tiles, what the second-level cache holds.
const TASK_INPUTS: usize = 128;
const TASK_OUTPUTS: usize = 128;

/// The sum over tiles is cut into parts of at least so many.
const PART_TILES: usize = 512;

/// Tasks that the work is cut into, if it can be: a constant, so that sums do not depend
/// on the number of threads.
const TASKS: usize = 16;

pub(in crate::fused::convolution) fn kernel_gradient(
    convolution: &Convolution,
    x: Input<'_>,
    dy: &[f32],
) -> Vec<f32> {
    let level = convolution.options.level;
    let (inputs, outputs) = (convolution.inputs, convolution.outputs);
    let tiles = Tiles::of(convolution, 2);
    let count = tiles.rows() * tiles.columns();
    let (rows, columns) = (ranges(inputs, TASK_INPUTS), ranges(outputs, TASK_OUTPUTS));
    let pieces = rows.len() * columns.len();
    let parts = TASKS.div_ceil(pieces).min(count / PART_TILES).max(1);
    let part = ranges(count, count.div_ceil(parts));
    let sums: Vec<Buffer> = (0..pieces * part.len())
        .into_par_iter()
        .with_max_len(1)
        .map(|task| {
            let (piece, part) = (task / part.len(), &part[task % part.len()]);
            level.run(Task {
                level,
                operands: convolution.operands(),
                grid: tiles,
                x,
                dy,
                sizes: (inputs, outputs),
                tiles: part.clone(),
                rows: rows[piece / columns.len()].clone(),
                columns: columns[piece % columns.len()].clone(),
            })
        })
        .collect();
    let mut dkernel = gradient_buffer(9 * inputs * outputs);
    // A row of each tap at a time.
    let mut taps: Vec<_> = dkernel.chunks_exact_mut(inputs * outputs).collect();
    let mut lines: Vec<Vec<&mut [f32]>> = (0..inputs).map(|_| Vec::with_capacity(9)).collect();
    for tap in taps.iter_mut() {
        for (line, row) in lines.iter_mut().zip(tap.chunks_exact_mut(outputs)) {
            line.push(row);
        }
    }
    let columns = &columns;
    lines
        .par_iter_mut()
        .enumerate()
        .for_each(|(input, targets)| {
            let (piece, row) = (input / TASK_INPUTS, input % TASK_INPUTS);
            let first = piece * columns.len() * part.len();
            let sums = &sums[first..first + columns.len() * part.len()];
            let rows = rows[piece].len();
            write_row(level, sums, part.len(), rows, row, columns, targets);
        });
    dkernel
}

fn_per_level! {
    /// Adds up the parts of the sums `[position, row, column]` in their order, and transforms
    /// one row of them into that of each tap.
    fn write_row<'t, 'k; S>(
        simd,
        sums: &'t [Buffer],
        parts: usize,
        rows: usize,
        row: usize,
        columns: &'t [Range<usize>],
        targets: &'t mut [&'k mut [f32]],
    ) -> () {
        for (parts, columns) in sums.chunks_exact(parts).zip(columns) {
            for column in (0..columns.len()).step_by(S::F32_LANES) {
                let mut du = [[simd.splat_f32s(0.0); 4]; 4];
                for (du_row, line) in du.iter_mut().enumerate() {
                    for (position, value) in line.iter_mut().enumerate() {
                        let matrix = (4 * du_row + position) * rows + row;
                        for part in parts {
                            let sums = &part[matrix * columns.len() + column..];
                            *value = simd.add_f32s(*value, load::<S>(sums));
                        }
                    }
                }
                let g = transform::kernel_gradient(simd, du);
                for (tap_row, line) in g.iter().enumerate() {
                    for (tap, &value) in line.iter().enumerate() {
                        let target = &mut targets[3 * tap_row + tap];
                        store::<S>(&mut target[columns.start + column..], value);
                    }
                }
            }
        }
    }
}

/// Places of a tile's inputs: so many that the last ones are a whole tile of the product
/// too, and that lines do not fall on one another in the caches.
fn line(rows: usize) -> usize {
    odd_lines(rows.next_multiple_of(FilterTile::MOST_ROWS))
}

struct Task<'a> {
    level: SimdLevel,
    operands: Operands,
    grid: Tiles,
    x: Input<'a>,
    dy: &'a [f32],
    sizes: (usize, usize),
    tiles: Range<usize>,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl WithSimd for Task<'_> {
    /// `[position, row, column]`.
    type Output = Buffer;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Buffer {
        let (rows, columns) = (self.rows.len(), self.columns.len());
        let width = self.level.tile().columns;
        let tile_rows = FilterTile::rows(self.level, rows);
        let line = line(rows);
        let mut sums = zeros(POSITIONS * rows * columns);
        let (mut inputs, mut gradients) = (Vec::new(), Vec::new());
        let block_tiles = BLOCK_STEPS * self.operands.numbers();
        for first in self.tiles.clone().step_by(block_tiles) {
            let tiles = first..self.tiles.end.min(first + block_tiles);
            let count = self.operands.places(tiles.len());
            self.transform_inputs(simd, tiles.clone(), &mut inputs);
            self.transform_gradients(simd, tiles, width, &mut gradients);
            let panels = columns.div_ceil(width);
            for position in 0..POSITIONS {
                let inputs = &inputs[position * stride(count * line)..][..count * line];
                let gradients = &gradients[position * stride(panels * count * width)..];
                for row in (0..rows).step_by(tile_rows) {
                    let row_count = tile_rows.min(rows - row);
                    for (panel, column) in (0..columns).step_by(width).enumerate() {
                        let products = OuterProducts {
                            operands: self.operands,
                            count,
                            left: &inputs[row..],
                            left_stride: line,
                            tile_rows,
                            right: &gradients[panel * count * width..][..count * width],
                        };
                        let size = (row_count, width.min(columns - column));
                        let target = &mut sums[(position * rows + row) * columns + column..];
                        add_outer_products(simd, products, target, columns, size);
                    }
                }
            }
        }
        sums
    }
}

impl Task<'_> {
    /// `[position, tile or pair, row]`, a line of them for each tile or pair.
    #[inline(always)]
    fn transform_inputs<S: Simd>(&self, simd: S, tiles: Range<usize>, target: &mut Vec<f32>) {
        let line = line(self.rows.len());
        let stride = stride(self.operands.places(tiles.len()) * line);
        target.resize(POSITIONS * stride, 0.0);
        for (index, tile) in tiles.clone().step_by(self.operands.numbers()).enumerate() {
            let next = if tile + 1 < tiles.end {
                self.grid.inputs(self.grid.place(tile + 1))
            } else {
                Window::OUTSIDE
            };
            let partner = match self.operands {
                Operands::Single => Partner::Nobody,
                Operands::Pairs | Operands::Tiles(_) => Partner::Tile(&next),
            };
            let pixels = self.grid.inputs(self.grid.place(tile));
            let places = Places {
                first: index * line,
                stride,
            };
            let source = (self.x, self.sizes.0);
            let rows = self.rows.clone();
            transform::inputs_of_tile::<_, 4, 2>(
                simd, source, &pixels, partner, rows, target, places,
            );
        }
    }

    /// `[position, panel, tile or pair, column of the panel]`.
    #[inline(always)]
    fn transform_gradients<S: Simd>(
        &self,
        simd: S,
        tiles: Range<usize>,
        width: usize,
        target: &mut Vec<f32>,
    ) {
        let columns = self.columns.len();
        let panels = columns.div_ceil(width);
        let count = self.operands.places(tiles.len());
        let stride = stride(panels * count * width);
        target.resize(POSITIONS * stride, 0.0);
        for (index, tile) in tiles.clone().step_by(self.operands.numbers()).enumerate() {
            let pixels = self.grid.outputs(self.grid.place(tile));
            let next = if tile + 1 < tiles.end {
                self.grid.outputs(self.grid.place(tile + 1))
            } else {
                Window::OUTSIDE
            };
            for column in (0..columns).step_by(S::F32_LANES) {
                let mut m = self.gradient_at(simd, pixels, column);
                if self.operands == Operands::Pairs {
                    m = transform::paired(simd, m, self.gradient_at(simd, next, column));
                }
                let (panel, offset) = (column / width, column % width);
                let first = (panel * count + index) * width + offset;
                store_strided::<S>(target, first, stride, m.as_flattened());
            }
        }
    }

    /// The transformed gradient of a tile's pixels, some of its columns.
    #[inline(always)]
    fn gradient_at<S: Simd>(
        &self,
        simd: S,
        pixels: Window<2>,
        column: usize,
    ) -> transform::Square<S, 4> {
        let mut dy = [[simd.splat_f32s(0.0); 2]; 2];
        for (row, line) in dy.iter_mut().enumerate() {
            for (place, value) in line.iter_mut().enumerate() {
                if let Some(pixel) = pixels.pixel(row, place) {
                    let at = pixel * self.sizes.1 + self.columns.start + column;
                    *value = load::<S>(&self.dy[at..]);
                }
            }
        }
        transform::output_gradient(simd, dy)
    }
}
