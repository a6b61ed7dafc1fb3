//! The kernel's gradient: `Gᵀ [Σ over tiles of (Bᵀ d B) ⊙ (A dy Aᵀ)] G`.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::tiles::{Tiles, Window, stride};
use super::transform::{self, Minimal, Partner, Places, Transforms};
use crate::fused::chunks::ranges;
use crate::fused::convolution::input::Input;
use crate::fused::convolution::sizes::Convolution;
use crate::memory::{Buffer, gradient_buffer, zeros};
use crate::simd::{
    FilterTile, Numbers, Operands, OuterProducts, Pairs, SimdLevel, Vectors, add_outer_products,
    fn_per_level, load, odd_lines, store, store_strided,
};

/// Tiles, or pairs of them, that are transformed at a time.
const BLOCK_STEPS: usize = 64;

/// Inputs and outputs of a task, half as many inputs if tiles have four rows: with the tiles, what
/// the second-level cache holds.
const TASK_INPUTS: usize = 128;
const TASK_OUTPUTS: usize = 128;

/// The sum over tiles is cut into parts of at least so many pixels.
const PART_PIXELS: usize = 2048;

/// Tasks that the work is cut into, if it can be: a constant, so that sums do not depend
/// on the number of threads.
const TASKS: usize = 16;

pub(in crate::fused::convolution) fn kernel_gradient(
    convolution: &Convolution,
    x: Input<'_>,
    dy: Numbers<'_>,
) -> Vec<f32> {
    match super::side(convolution) {
        2 => kernel_gradient_in_tiles::<4, 2>(convolution, x, dy),
        _ => kernel_gradient_in_tiles::<6, 4>(convolution, x, dy),
    }
}

fn kernel_gradient_in_tiles<const M: usize, const T: usize>(
    convolution: &Convolution,
    x: Input<'_>,
    dy: Numbers<'_>,
) -> Vec<f32>
where
    Minimal: Transforms<M, T>,
{
    let level = convolution.options.level;
    let (inputs, outputs) = (convolution.inputs, convolution.outputs);
    let tiles = Tiles::of(convolution, T);
    let count = tiles.rows() * tiles.columns();
    let task_inputs = TASK_INPUTS * 2 / T;
    let (rows, columns) = (ranges(inputs, task_inputs), ranges(outputs, TASK_OUTPUTS));
    let pieces = rows.len() * columns.len();
    let parts = TASKS
        .div_ceil(pieces)
        .min(count * T * T / PART_PIXELS)
        .max(1);
    let part = ranges(count, count.div_ceil(parts));
    let sums: Vec<Buffer> = (0..pieces * part.len())
        .into_par_iter()
        .with_max_len(1)
        .map(|task| {
            let (piece, part) = (task / part.len(), &part[task % part.len()]);
            level.run(Task::<M, T> {
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
            let (piece, row) = (input / task_inputs, input % task_inputs);
            let first = piece * columns.len() * part.len();
            let sums = &sums[first..first + columns.len() * part.len()];
            let rows = rows[piece].len();
            write_row(level, T, sums, part.len(), rows, row, columns, targets);
        });
    dkernel
}

fn_per_level! {
    /// Adds up the parts of the sums `[position, row, column]` of tiles of `side` rows in their
    /// order, and transforms one row of them into that of each tap.
    fn write_row<'t, 'k; S>(
        simd,
        side: usize,
        sums: &'t [Buffer],
        parts: usize,
        rows: usize,
        row: usize,
        columns: &'t [Range<usize>],
        targets: &'t mut [&'k mut [f32]],
    ) -> () {
        for (parts, columns) in sums.chunks_exact(parts).zip(columns) {
            let sums = Sums { parts, rows, row, columns };
            match side {
                2 => sums.write::<S, 4, 2>(simd, targets),
                _ => sums.write::<S, 6, 4>(simd, targets),
            }
        }
    }
}

/// A row of sums, and the columns of the kernel that they belong to.
struct Sums<'a> {
    parts: &'a [Buffer],
    rows: usize,
    row: usize,
    columns: &'a Range<usize>,
}

impl Sums<'_> {
    #[inline(always)]
    fn write<S: Simd, const M: usize, const T: usize>(&self, simd: S, targets: &mut [&mut [f32]])
    where
        Minimal: Transforms<M, T>,
    {
        let columns = self.columns.len();
        for column in (0..columns).step_by(S::F32_LANES) {
            let mut du = [[simd.splat_f32s(0.0); M]; M];
            for (index, value) in du.as_flattened_mut().iter_mut().enumerate() {
                let matrix = index * self.rows + self.row;
                for part in self.parts {
                    let sums = &part[matrix * columns + column..];
                    *value = simd.add_f32s(*value, load::<S>(sums));
                }
            }
            let g = Minimal::kernel_gradient(simd, du);
            for (target, &value) in targets.iter_mut().zip(g.as_flattened()) {
                store::<S>(&mut target[self.columns.start + column..], value);
            }
        }
    }
}

/// Places of a tile's inputs: so many that the last ones are a whole tile of the product
/// too, and that lines do not fall on one another in the caches.
fn line(rows: usize) -> usize {
    odd_lines(rows.next_multiple_of(FilterTile::MOST_ROWS))
}

struct Task<'a, const M: usize, const T: usize> {
    level: SimdLevel,
    operands: Operands,
    grid: Tiles,
    x: Input<'a>,
    dy: Numbers<'a>,
    sizes: (usize, usize),
    tiles: Range<usize>,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<const M: usize, const T: usize> WithSimd for Task<'_, M, T>
where
    Minimal: Transforms<M, T>,
{
    /// `[position, row, column]`.
    type Output = Buffer;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Buffer {
        let (rows, columns) = (self.rows.len(), self.columns.len());
        let width = self.level.tile().columns;
        let tile_rows = FilterTile::rows(self.level, rows);
        let line = line(rows);
        let mut sums = zeros(M * M * rows * columns);
        let (mut inputs, mut gradients) = (Vec::new(), Vec::new());
        let block_tiles = BLOCK_STEPS * self.operands.numbers();
        for first in self.tiles.clone().step_by(block_tiles) {
            let tiles = first..self.tiles.end.min(first + block_tiles);
            let count = self.operands.places(tiles.len());
            self.transform_inputs(simd, tiles.clone(), &mut inputs);
            self.transform_gradients(simd, tiles, width, &mut gradients);
            let panels = columns.div_ceil(width);
            for position in 0..M * M {
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

impl<const M: usize, const T: usize> Task<'_, M, T>
where
    Minimal: Transforms<M, T>,
{
    /// `[position, tile or pair, row]`, a line of them for each tile or pair.
    #[inline(always)]
    fn transform_inputs<S: Simd>(&self, simd: S, tiles: Range<usize>, target: &mut Vec<f32>) {
        let line = line(self.rows.len());
        let stride = stride(self.operands.places(tiles.len()) * line);
        target.resize(M * M * stride, 0.0);
        for (index, tile) in tiles.clone().step_by(self.operands.numbers()).enumerate() {
            let next = if tile + 1 < tiles.end {
                self.grid.inputs(self.grid.place(tile + 1))
            } else {
                Window::OUTSIDE
            };
            let partner = match self.operands {
                Operands::Single | Operands::SplitTiles(..) => Partner::Nobody,
                Operands::Pairs | Operands::Tiles(_) => Partner::Tile(&next),
            };
            let pixels = self.grid.inputs(self.grid.place(tile));
            let places = Places {
                first: index * line,
                stride,
            };
            let source = (self.x, self.sizes.0);
            let rows = self.rows.clone();
            transform::inputs_of_tile::<S, M, T>(
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
        target.resize(M * M * stride, 0.0);
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
        pixels: Window<T>,
        column: usize,
    ) -> transform::Square<S, M> {
        let at = |pixel: usize| pixel * self.sizes.1 + self.columns.start + column;
        let dy = match self.dy {
            Numbers::Single(dy) => window(simd, dy, pixels, at),
            Numbers::Pairs(dy) => window(simd, Pairs(dy), pixels, at),
        };
        Minimal::output_gradient(simd, dy)
    }
}

/// The vectors of a window's pixels, zeros outside of the map.
#[inline(always)]
fn window<S: Simd, const T: usize>(
    simd: S,
    numbers: impl Vectors,
    pixels: Window<T>,
    at: impl Fn(usize) -> usize,
) -> transform::Square<S, T> {
    let mut vectors = [[simd.splat_f32s(0.0); T]; T];
    for (row, line) in vectors.iter_mut().enumerate() {
        for (place, value) in line.iter_mut().enumerate() {
            if let Some(pixel) = pixels.pixel(row, place) {
                *value = numbers.vector::<S>(at(pixel));
            }
        }
    }
    vectors
}
