//! The gradient of a convolution's kernel by tiles of bfloat16 numbers.
//!
//! The terms of its sums are pixels, so pairs are of pixels, and one of the operands has to be
//! transposed. It is `dy`: the taps of the window share it, so this is done once, and what is
//! gathered tap by tap are whole runs of channels, of two pixels at a time. The product is then
//! that of `dyᵀ` and the columns, the gradient transposed; its blocks are turned when they are
//! written.

use std::cell::RefCell;
use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::input::Input;
use super::sizes::Convolution;
use super::strided_grid::StridedGrid;
use crate::fused::chunks::ranges;
use crate::memory::{Buffer, buffer, gradient_buffer};
use crate::simd::{
    BLOCK, Numbers, OPERAND, Operands, PAIRS, Part, SIDE, Scratch, TileUnit, fn_per_level,
    interleave, pair_rows, transpose,
};

/// Steps of 32 pixels that are packed at a time. An operand's blocks of so many steps are 16 KiB:
/// one of them stays in the first-level cache while those of the other pass by.
const CHUNK_STEPS: usize = 8;

/// Pixels of a chunk.
const CHUNK: usize = CHUNK_STEPS * SIDE;

/// Blocks of the kernel's rows and columns that a task is about, at most: so many that each packed
/// pixel is used often; sums (512 KiB) and chunks of both operands (128 and 256 KiB) stay in
/// a second-level cache of 2 MiB.
const TASK_ROWS: usize = 8;
const TASK_COLUMNS: usize = 16;

/// The sum over pixels is cut into parts of at least so many chunks.
const PART_CHUNKS: usize = 2;

/// Tasks that the work is cut into, if it can be: a constant, so that sums do not depend
/// on the number of threads.
const TASKS: usize = 24;

/// `dkernel[k, o] = Σ over pixels of columns[pixel, k] dy[pixel, o]`.
pub(super) fn gradient(
    convolution: &Convolution,
    operands: Operands,
    unit: TileUnit,
    grid: &StridedGrid,
    x: Input<'_>,
    dy: Numbers<'_>,
) -> Vec<f32> {
    let level = convolution.options.level;
    let (inputs, outputs) = (convolution.inputs, convolution.outputs);
    let taps = grid.kernel_taps().len();
    let x = x.prepared(level, operands, inputs);
    let plan = Plan {
        unit,
        parts: operands.parts().len(),
        grid,
        source_size: (
            convolution.windows.rows.input,
            convolution.windows.columns.input,
        ),
        x: &x,
        inputs,
        pixels: convolution.output_pixels(),
        columns: outputs.div_ceil(SIDE),
        dy: &transposed(convolution, operands.parts(), dy),
    };
    let tap_blocks = inputs.div_ceil(SIDE);
    let rows = ranges(taps * tap_blocks, TASK_ROWS);
    let columns = ranges(plan.columns, TASK_COLUMNS);
    let chunks = plan.pixels.div_ceil(CHUNK);
    let most_parts = TASKS.div_ceil(rows.len() * columns.len());
    let parts = ranges(
        chunks,
        chunks.div_ceil(most_parts.min(chunks / PART_CHUNKS).max(1)),
    );
    let tasks = rows.len() * columns.len() * parts.len();
    let sums: Vec<Buffer> = (0..tasks)
        .into_par_iter()
        .with_max_len(1)
        .map(|task| {
            let (rest, part) = (task / parts.len(), task % parts.len());
            level.run(Task {
                plan: &plan,
                chunks: parts[part].clone(),
                rows: rows[rest / columns.len()].clone(),
                columns: columns[rest % columns.len()].clone(),
            })
        })
        .collect();
    let mut gradient = gradient_buffer(taps * inputs * outputs);
    let taps = gradient.chunks_mut(inputs * outputs);
    let lines: Vec<_> = taps
        .flat_map(|tap| tap.chunks_mut(SIDE * outputs))
        .collect();
    lines.into_par_iter().enumerate().for_each(|(row, target)| {
        let tasks = sums.chunks_exact(parts.len());
        let tasks = tasks.skip(row / TASK_ROWS * columns.len());
        for (columns, parts) in columns.iter().zip(tasks) {
            let first = row % TASK_ROWS * columns.len();
            for (block, column) in columns.clone().enumerate() {
                let sums = parts.iter().map(|part| &blocks_of(part)[first + block]);
                let column = column * SIDE..outputs.min((column + 1) * SIDE);
                write_block(sums, target, outputs, column);
            }
        }
    });
    gradient
}

fn blocks_of(sums: &[f32]) -> &[[f32; BLOCK]] {
    sums.as_chunks().0
}

/// Writes the sum of blocks, in their order, to some columns of some rows of a matrix, transposed.
fn write_block<'s>(
    sums: impl Iterator<Item = &'s [f32; BLOCK]>,
    target: &mut [f32],
    stride: usize,
    columns: Range<usize>,
) {
    let mut total = [0.0; BLOCK];
    for (index, sums) in sums.enumerate() {
        if index == 0 {
            total = *sums;
        } else {
            for (total, sum) in total.iter_mut().zip(sums) {
                *total += sum;
            }
        }
    }
    let mut turned = [[0.0; SIDE]; SIDE];
    transpose::<SIDE, SIDE>(total.as_chunks().0, &mut turned);
    for (target, turned) in target.chunks_exact_mut(stride).zip(&turned) {
        target[columns.clone()].copy_from_slice(&turned[..columns.len()]);
    }
}

struct Plan<'a> {
    unit: TileUnit,
    /// Of each number.
    parts: usize,
    grid: &'a StridedGrid,
    source_size: (usize, usize),
    /// In pairs of channels.
    x: &'a [f32],
    inputs: usize,
    pixels: usize,
    /// Blocks of outputs.
    columns: usize,
    /// See [`transposed`].
    dy: &'a [f32],
}

/// `dy` as left operands: `[chunk, block of outputs, part, step of the chunk]`.
fn transposed(convolution: &Convolution, parts: &'static [Part], dy: Numbers<'_>) -> Buffer {
    let (level, outputs) = (convolution.options.level, convolution.outputs);
    let blocks = outputs.div_ceil(SIDE);
    let steps = convolution.output_pixels().div_ceil(SIDE);
    let step = blocks * parts.len() * OPERAND;
    let mut operands = buffer(steps * step);
    operands
        .par_chunks_mut(CHUNK_STEPS * step)
        .enumerate()
        .for_each(|(chunk, operands)| {
            let first = chunk * CHUNK * outputs;
            let dy = dy.slice(first..dy.len().min(first + CHUNK * outputs));
            transpose_chunk(level, dy, outputs, parts, operands);
        });
    operands
}

fn_per_level! {
    fn transpose_chunk<'a>(
        dy: Numbers<'a>,
        outputs: usize,
        parts: &'static [Part],
        operands: &'a mut [f32],
    ) -> () {
        let mut stage = Vec::new();
        let steps = (dy.len() / outputs).div_ceil(SIDE);
        let (operands, _) = operands.as_chunks_mut::<OPERAND>();
        for step in 0..steps {
            let first = step * SIDE * outputs;
            let pixels = dy.slice(first..dy.len().min(first + SIDE * outputs)).read(&mut stage);
            for (block, column) in (0..outputs).step_by(SIDE).enumerate() {
                let columns = column..outputs.min(column + SIDE);
                let mut numbers = [[0.0; SIDE]; SIDE];
                for (line, pixel) in numbers.iter_mut().zip(pixels.chunks_exact(outputs)) {
                    let pixel = &pixel[columns.clone()];
                    match pixel.first_chunk::<SIDE>() {
                        Some(pixel) => *line = *pixel,
                        None => line[..pixel.len()].copy_from_slice(pixel),
                    }
                }
                for (index, part) in parts.iter().enumerate() {
                    let mut lines = numbers;
                    let all = lines.as_flattened_mut().iter_mut();
                    all.for_each(|number| *number = part.of(*number));
                    pair_rows(&mut lines);
                    let place = (block * parts.len() + index) * steps + step;
                    let (operand, _) = operands[place].as_chunks_mut();
                    transpose::<PAIRS, SIDE>(&lines[..PAIRS], operand);
                }
            }
        }
    }
}

thread_local! {
    static PACKED: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
}

struct Task<'a> {
    plan: &'a Plan<'a>,
    chunks: Range<usize>,
    /// Blocks of the kernel's rows, tap by tap.
    rows: Range<usize>,
    /// Blocks of its columns.
    columns: Range<usize>,
}

impl WithSimd for Task<'_> {
    /// `[row, column]` of blocks, each transposed.
    type Output = Buffer;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Buffer {
        let plan = self.plan;
        let mut sums = buffer(self.rows.len() * self.columns.len() * BLOCK);
        let mut packed = PACKED.take();
        let tiles = plan.unit.tiles();
        for chunk in self.chunks.clone() {
            let pixels = chunk * CHUNK..plan.pixels.min((chunk + 1) * CHUNK);
            let size = pixels.len().div_ceil(SIDE) * OPERAND;
            let all = plan.parts * size;
            let right = packed.room(self.rows.len() * all);
            self.pack_inputs(pixels, size, right);
            let dy = &plan.dy[chunk * CHUNK_STEPS * OPERAND * plan.parts * plan.columns..];
            let (sums, _) = sums.as_chunks_mut::<BLOCK>();
            let accumulate = chunk > self.chunks.start;
            for (index, column) in self.columns.clone().enumerate() {
                let left = |part| &dy[column * all + part * size..][..size];
                for (row, right) in right.chunks_exact(all).enumerate() {
                    let sums = &mut sums[row * self.columns.len() + index];
                    let right = |part| &right[part * size..][..size];
                    tiles.multiply(simd, plan.parts, left, right, sums, accumulate);
                }
            }
        }
        drop(tiles);
        PACKED.set(packed);
        sums
    }
}

impl Task<'_> {
    /// The columns of some pixels as right operands of `size` places, the parts of each block of
    /// rows.
    #[inline(always)]
    fn pack_inputs(&self, pixels: Range<usize>, size: usize, packed: &mut [f32]) {
        let Plan {
            grid,
            x,
            inputs,
            parts,
            ..
        } = *self.plan;
        let (height, width) = self.plan.source_size;
        let tap_blocks = inputs.div_ceil(SIDE);
        let places = inputs / 2;
        let positions = grid.positions(pixels);
        let run = |(image, row, column): (usize, usize, usize), (row_tap, column_tap)| {
            let row = grid.rows.input(row, row_tap, height)?;
            let column = grid.columns.input(column, column_tap, width)?;
            Some(((image * height + row) * width + column) * parts * places)
        };
        let mut starts = Vec::with_capacity(positions.len());
        let blocks = self.rows.clone();
        let blocks = blocks.flat_map(|block| (0..parts).map(move |part| (block, part)));
        for ((block, part), packed) in blocks.zip(packed.chunks_exact_mut(size)) {
            let (tap, channel) = (grid.tap(block / tap_blocks), block % tap_blocks * PAIRS);
            starts.clear();
            starts.extend(positions.iter().map(|&position| run(position, tap)));
            let first = part * places + channel;
            let count = PAIRS.min(places - channel);
            let line = |start: Option<usize>| -> [f32; PAIRS] {
                let Some(start) = start else {
                    return [0.0; PAIRS];
                };
                let run = &x[start + first..start + first + count];
                run.first_chunk().copied().unwrap_or_else(|| {
                    let mut line = [0.0; PAIRS];
                    line[..count].copy_from_slice(run);
                    line
                })
            };
            let (lines, _) = packed.as_chunks_mut::<SIDE>();
            for (target, pair) in lines.iter_mut().zip(starts.chunks(2)) {
                let second = pair.get(1).copied().flatten();
                *target = interleave(line(pair[0]), line(second));
            }
            lines[starts.len().div_ceil(2)..].fill([0.0; SIDE]);
        }
    }
}
