//! The gradient of a convolution's kernel: sums of outer products over all pixels.

use std::cell::RefCell;
use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::input::Input;
use super::sizes::Convolution;
use super::strided_grid::StridedGrid;
use crate::fused::affine::scale_shift_relu_row;
use crate::fused::chunks::ranges;
use crate::memory::{Buffer, gradient_buffer, zeros};
use crate::simd::{
    FilterTile, Format, Numbers, Operands, OuterProducts, Scratch, SimdLevel, add_outer_products,
    interleave_rows, odd_lines, pair,
};

/// Pixels, or pairs of them, that are packed at a time: a panel of them stays in the first-level
/// cache, all that is packed of them, and the next ones, in the second-level cache.
const PACKED_STEPS: usize = 64;

/// Rows and columns of the kernel that a task is about, at most: so many that each packed
/// number is used often, so few that the sums stay in the second-level cache.
const TASK_ROWS: usize = 264;
const TASK_COLUMNS: usize = 256;

/// The sum over pixels is cut into parts of at least this many, each with a sum of its own.
const PART_PIXELS: usize = 512;

/// Rows of the kernel whose parts are added up by one task.
const SUM_ROWS: usize = 64;

/// Tasks that the work is cut into, if it can be: a constant, so that sums do not depend
/// on the number of threads.
const TASKS: usize = 24;

/// `dkernel[k, o] = Σ over pixels of columns[pixel, k] dy[pixel, o]`, of numbers or of pairs that
/// two pixels' numbers are rounded to.
pub(super) fn gradient(
    convolution: &Convolution,
    operands: Operands,
    grid: &StridedGrid,
    x: Input<'_>,
    dy: Numbers<'_>,
) -> Vec<f32> {
    let level = convolution.options.level;
    let plan = Plan {
        level,
        operands,
        grid,
        x,
        dy,
        source_size: (
            convolution.windows.rows.input,
            convolution.windows.columns.input,
        ),
        channels: convolution.inputs,
        run: grid.merged_columns * convolution.inputs,
        outputs: convolution.outputs,
    };
    let pieces = plan.pieces(grid.kernel_taps().len());
    let columns = ranges(plan.outputs, TASK_COLUMNS);
    let pixels = convolution.output_pixels();
    let most_parts = TASKS.div_ceil(pieces.len() * columns.len());
    let parts = ranges(
        pixels,
        pixels.div_ceil(most_parts.min(pixels / PART_PIXELS).max(1)),
    );
    let tasks = pieces.len() * columns.len() * parts.len();
    let sums: Vec<Buffer> = (0..tasks)
        .into_par_iter()
        .with_max_len(1)
        .map(|task| {
            let (rest, part) = (task / parts.len(), task % parts.len());
            level.run(Task {
                plan: &plan,
                pixels: parts[part].clone(),
                piece: &pieces[rest / columns.len()],
                columns: columns[rest % columns.len()].clone(),
            })
        })
        .collect();
    let mut gradient = gradient_buffer(convolution.depth() * plan.outputs);
    let mut chunks = Vec::new();
    let mut rest = gradient.as_mut_slice();
    for (piece, sums) in pieces.iter().zip(sums.chunks(columns.len() * parts.len())) {
        let (target, others) = rest.split_at_mut(piece.rows() * plan.outputs);
        let rows = target.chunks_mut(SUM_ROWS * plan.outputs).enumerate();
        chunks.extend(rows.map(|(index, rows)| (index * SUM_ROWS, rows, sums)));
        rest = others;
    }
    chunks.into_par_iter().for_each(|(first, rows, sums)| {
        for (columns, parts) in columns.iter().zip(sums.chunks(parts.len())) {
            add_up(parts, first, rows, columns.clone(), plan.outputs);
        }
    });
    gradient
}

/// Writes the sum of matrices, in their order and from their row `first` on, to some columns
/// of some rows of another one.
fn add_up(
    parts: &[Buffer],
    first: usize,
    target: &mut [f32],
    columns: Range<usize>,
    stride: usize,
) {
    for (index, row) in target.chunks_exact_mut(stride).enumerate() {
        let start = (first + index) * columns.len();
        let row = &mut row[columns.clone()];
        for (number, part) in parts.iter().enumerate() {
            let values = &part[start..start + row.len()];
            if number == 0 {
                row.copy_from_slice(values);
                continue;
            }
            for (sum, value) in row.iter_mut().zip(values) {
                *sum += value;
            }
        }
    }
}

struct Plan<'a> {
    level: SimdLevel,
    operands: Operands,
    grid: &'a StridedGrid,
    x: Input<'a>,
    dy: Numbers<'a>,
    source_size: (usize, usize),
    channels: usize,
    run: usize,
    outputs: usize,
}

/// Consecutive rows of the kernel, as (tap, rows within the tap's run).
struct Piece(Vec<(usize, Range<usize>)>);

impl Piece {
    fn rows(&self) -> usize {
        self.0.iter().map(|(_, rows)| rows.len()).sum()
    }

    /// How many tiles of `rows` rows these are, where none has rows of two taps.
    fn tiles(&self, rows: usize) -> usize {
        let of_tap = |(_, of_tap): &(usize, Range<usize>)| of_tap.len().div_ceil(rows);
        self.0.iter().map(of_tap).sum()
    }
}

impl Plan<'_> {
    /// Where the run of a pixel (image, row, column) begins at a tap (row, column); `None` in the
    /// padding.
    #[inline(always)]
    fn run_start(
        &self,
        (image, row, column): (usize, usize, usize),
        (row_tap, column_tap): (usize, usize),
    ) -> Option<usize> {
        let (height, width) = self.source_size;
        let row = self.grid.rows.input(row, row_tap, height)?;
        let column = self.grid.columns.input(column, column_tap, width)?;
        Some(((image * height + row) * width + column) * self.channels)
    }

    /// The kernel's rows in pieces of whole tiles.
    fn pieces(&self, taps: usize) -> Vec<Piece> {
        let rows = FilterTile::rows(self.level, self.run);
        let most = TASK_ROWS / rows;
        let mut pieces = Vec::new();
        let (mut piece, mut tiles) = (Piece(Vec::new()), 0);
        for tap in 0..taps {
            let mut start = 0;
            while start < self.run {
                let end = self.run.min(start + (most - tiles) * rows);
                tiles += (end - start).div_ceil(rows);
                piece.0.push((tap, start..end));
                start = end;
                if tiles == most {
                    pieces.push(std::mem::replace(&mut piece, Piece(Vec::new())));
                    tiles = 0;
                }
            }
        }
        if tiles > 0 {
            pieces.push(piece);
        }
        pieces
    }
}

thread_local! {
    static PACKED: RefCell<[Scratch; 2]> = const { RefCell::new([Scratch::new(), Scratch::new()]) };
}

struct Task<'t, 'a> {
    plan: &'t Plan<'a>,
    pixels: Range<usize>,
    piece: &'t Piece,
    columns: Range<usize>,
}

impl WithSimd for Task<'_, '_> {
    /// `[row of the piece, column]`.
    type Output = Buffer;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Buffer {
        let width = self.plan.level.tile().columns;
        let tile_rows = FilterTile::rows(self.plan.level, self.plan.run);
        let columns = self.columns.len();
        let mut sums = zeros(self.piece.rows() * columns);
        // Taken out, because a closure would not be compiled for the level.
        let [mut left, mut right] = PACKED.take();
        let mut starts: Vec<Option<usize>> = Vec::new();
        for first in self.pixels.clone().step_by(self.packed_pixels()) {
            let pixels = self.pixels_from(first);
            let count = self.plan.operands.places(pixels.len());
            let right = right.room(columns.div_ceil(width) * width * count);
            let left_stride = odd_lines(self.piece.tiles(tile_rows) * tile_rows);
            let left = left.room(left_stride * count);
            match width {
                32 => self.pack_gradients::<32>(pixels.clone(), right),
                _ => self.pack_gradients::<16>(pixels.clone(), right),
            }
            self.pack_inputs(pixels.clone(), &mut starts, tile_rows, left_stride, left);
            let panels = right.chunks_exact(count * width);
            let mut next = self.next_pixels(pixels.end, panels.len() * self.piece.tiles(tile_rows));
            for (panel, column) in panels.zip((0..columns).step_by(width)) {
                let (mut row, mut place) = (0, 0);
                for (_, of_tap) in &self.piece.0 {
                    for start in of_tap.clone().step_by(tile_rows) {
                        if let Some(pixels) = next.next() {
                            self.prefetch(pixels);
                        }
                        let products = OuterProducts {
                            operands: self.plan.operands,
                            count,
                            left: &left[place..],
                            left_stride,
                            tile_rows,
                            right: panel,
                        };
                        let rows = tile_rows.min(of_tap.end - start);
                        let size = (rows, width.min(columns - column));
                        let target = &mut sums[row * columns + column..];
                        add_outer_products(simd, products, target, columns, size);
                        row += rows;
                        place += tile_rows;
                    }
                }
            }
        }
        PACKED.set([left, right]);
        sums
    }
}

impl Task<'_, '_> {
    #[inline(always)]
    fn packed_pixels(&self) -> usize {
        PACKED_STEPS * self.plan.operands.numbers()
    }

    /// The pixels that are packed together, from `first` on.
    #[inline(always)]
    fn pixels_from(&self, first: usize) -> Range<usize> {
        first..self.pixels.end.min(first + self.packed_pixels())
    }

    /// The pixels that are packed from `first` on, in `count` ranges.
    #[inline(always)]
    fn next_pixels(&self, first: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
        let Range { start, end } = self.pixels_from(first);
        let step = (end - start).div_ceil(count).max(1);
        (start..end)
            .step_by(step)
            .map(move |start| start..end.min(start + step))
    }

    /// Prefetches what will be packed of some pixels. The taps of a window share their
    /// inputs, so those of one tap are enough.
    #[inline(always)]
    fn prefetch(&self, pixels: Range<usize>) {
        let plan = self.plan;
        for pixel in pixels.clone() {
            let start = pixel * plan.outputs;
            plan.dy
                .prefetch(start + self.columns.start..start + self.columns.end);
        }
        let Some((tap, rows)) = self.piece.0.first() else {
            return;
        };
        let tap = plan.grid.tap(*tap);
        let start = |pixel| plan.run_start(plan.grid.position(pixel), tap);
        for start in pixels.filter_map(start) {
            plan.x.values.prefetch(start + rows.start..start + rows.end);
        }
    }

    /// `dy` of some pixels: `[panel, pixel or pair, column of the panel]`.
    #[inline(always)]
    fn pack_gradients<const WIDTH: usize>(&self, pixels: Range<usize>, packed: &mut [f32]) {
        let (operands, columns) = (self.plan.operands, &self.columns);
        let count = operands.places(pixels.len());
        let (packed, _) = packed.as_chunks_mut::<WIDTH>();
        let zeros = [0.0; TASK_COLUMNS];
        let format = self.plan.dy.format();
        let of_pixel = |pixel: usize, columns: Range<usize>| {
            let start = pixel * self.plan.outputs;
            let numbers = start + columns.start..start + columns.end;
            self.plan.dy.slice(numbers).places()
        };
        for (index, pixel) in pixels.clone().step_by(operands.numbers()).enumerate() {
            for (panel, start) in columns.clone().step_by(WIDTH).enumerate() {
                let end = columns.end.min(start + WIDTH);
                let first = of_pixel(pixel, start..end);
                let target = &mut packed[panel * count + index];
                let whole = first.first_chunk::<WIDTH>();
                if let (Some(whole), Operands::Single) = (whole, operands) {
                    // Its size is known to the compiler.
                    *target = *whole;
                    continue;
                }
                let second = if pixel + 1 < pixels.end {
                    of_pixel(pixel + 1, start..end)
                } else {
                    &zeros[..first.len()]
                };
                if end - start == WIDTH {
                    join(operands, format, [first, second], target);
                } else {
                    target[end - start..].fill(0.0);
                    join(
                        operands,
                        format,
                        [first, second],
                        &mut target[..end - start],
                    );
                }
            }
        }
    }

    /// What the rows of the piece are multiplied with, pixel by pixel, of each tap in whole
    /// tiles.
    #[inline(always)]
    fn pack_inputs(
        &self,
        pixels: Range<usize>,
        starts: &mut Vec<Option<usize>>,
        tile_rows: usize,
        stride: usize,
        packed: &mut [f32],
    ) {
        let mut first = 0;
        let mut stage = Vec::new();
        let positions = self.plan.grid.positions(pixels);
        for (tap, rows) in &self.piece.0 {
            let tap = self.plan.grid.tap(*tap);
            starts.clear();
            starts.extend(
                positions
                    .iter()
                    .map(|&pixel| self.plan.run_start(pixel, tap)),
            );
            let targets = packed.chunks_exact_mut(stride);
            let targets = targets.map(|pixel| &mut pixel[first..first + rows.len()]);
            self.pack_runs(starts, rows.clone(), &mut stage, targets);
            first += rows.len().next_multiple_of(tile_rows);
        }
    }

    /// Some numbers of each pixel's run, or of each pair of pixels.
    #[inline(always)]
    fn pack_runs<'p>(
        &self,
        starts: &[Option<usize>],
        rows: Range<usize>,
        stage: &mut Vec<f32>,
        targets: impl Iterator<Item = &'p mut [f32]>,
    ) {
        match self.plan.operands {
            Operands::Single | Operands::SplitTiles(..) => {
                for (start, target) in starts.iter().zip(targets) {
                    self.copy_run(*start, rows.clone(), stage, target);
                }
            }
            Operands::Pairs | Operands::Tiles(_) => match self.plan.x.as_pairs() {
                Some(places) => {
                    let zeros = [0.0; TASK_ROWS / 2];
                    let of_pixel = |start: Option<usize>| match start {
                        Some(start) => &places[(start + rows.start) / 2..][..rows.len() / 2],
                        None => &zeros[..rows.len() / 2],
                    };
                    for (pixels, target) in starts.chunks(2).zip(targets) {
                        let second = pixels.get(1).copied().flatten();
                        interleave_rows(of_pixel(pixels[0]), of_pixel(second), target);
                    }
                }
                None => {
                    let mut lines = [[0.0; TASK_ROWS]; 2];
                    for (pixels, target) in starts.chunks(2).zip(targets) {
                        for (index, line) in lines.iter_mut().enumerate() {
                            let start = pixels.get(index).copied().flatten();
                            self.copy_run(start, rows.clone(), stage, &mut line[..rows.len()]);
                        }
                        pair(&lines[0], &lines[1], target);
                    }
                }
            },
        }
    }

    /// Some numbers of a pixel's run, after scale, shift and ReLU if there are any. What is
    /// padding is zero.
    #[inline(always)]
    fn copy_run(
        &self,
        start: Option<usize>,
        rows: Range<usize>,
        stage: &mut Vec<f32>,
        target: &mut [f32],
    ) {
        let Input { values, affine } = self.plan.x;
        let Some(start) = start else {
            return target.fill(0.0);
        };
        let source = values.slice(start + rows.start..start + rows.end);
        match affine {
            None => source.copy_to(target),
            Some((scale, shift)) => {
                let (scale, shift) = (&scale[rows.clone()], &shift[rows]);
                scale_shift_relu_row(source.read(stage), scale, shift, target);
            }
        }
    }
}

/// What is multiplied of a pixel, or of a pair of them, whose numbers have a format.
#[inline(always)]
fn join(operands: Operands, format: Format, [first, second]: [&[f32]; 2], target: &mut [f32]) {
    match (operands, format) {
        (Operands::Single | Operands::SplitTiles(..), format) => {
            Numbers::new(format, first).copy_to(target)
        }
        (Operands::Pairs | Operands::Tiles(_), Format::Single) => pair(first, second, target),
        (Operands::Pairs | Operands::Tiles(_), Format::Pairs) => {
            interleave_rows(first, second, target);
        }
    }
}
