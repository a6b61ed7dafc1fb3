//! The right operand of a convolution's products.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use crate::fused::chunks::ranges;
use crate::simd::{
    Operands, Part, Scratch, SimdLevel, WIDEST, fn_per_level, pair_rows, prefetch,
    transpose_strided,
};

/// Rows of the matrix that are packed at a time: in transposed order the numbers of a
/// cache line.
const BLOCK: usize = 16;

/// Panels that are packed by one task, at most: what is read of a row then lies together.
const MOST_PANELS: usize = 16;

/// Tasks that packing is cut into, if there are enough panels.
const LEAST_TASKS: usize = 4;

/// A kernel `[taps, inputs, outputs]`, seen as the matrix of a forward or a backward product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights<'a> {
    kernel: &'a [f32],
    /// Elements of one tap.
    tap: usize,
    /// Rows of the matrix per tap, and the distance between them.
    rows: (usize, usize),
    /// Columns of the matrix, and the distance between them.
    columns: (usize, usize),
}

impl<'a> Weights<'a> {
    /// From inputs to outputs.
    pub(super) fn forward(kernel: &'a [f32], inputs: usize, outputs: usize) -> Self {
        Self {
            kernel,
            tap: inputs * outputs,
            rows: (inputs, outputs),
            columns: (outputs, 1),
        }
    }

    /// From outputs to inputs.
    pub(super) fn backward(kernel: &'a [f32], inputs: usize, outputs: usize) -> Self {
        Self {
            kernel,
            tap: inputs * outputs,
            rows: (outputs, 1),
            columns: (inputs, outputs),
        }
    }

    pub(super) fn columns(&self) -> usize {
        self.columns.0
    }

    /// The panels of all columns, for lists of taps.
    pub(super) fn packed(
        &self,
        level: SimdLevel,
        operands: Operands,
        taps: &[Vec<usize>],
        run: usize,
    ) -> Packed {
        let depth = operands.places(run);
        let width = operands.tile(level).columns;
        let panels = self.columns().div_ceil(width);
        let mut numbers = WEIGHTS.take();
        let mut lists = Vec::with_capacity(taps.len());
        let rows = |taps: &Vec<usize>| operands.panel_rows(taps.len() * depth);
        let all: usize = taps.iter().map(rows).sum();
        let mut rest = numbers.room(all * width * panels);
        for taps in taps {
            let rows = rows(taps);
            let panel = rows * width;
            let (target, others) = rest.split_at_mut(panel * panels);
            let group = (panels / LEAST_TASKS).clamp(1, MOST_PANELS);
            target
                .par_chunks_mut((group * panel).max(1))
                .enumerate()
                .for_each(|(index, target)| {
                    let first = index * group * width;
                    pack_panels(level, self, operands, taps, run, first, width, target);
                });
            let first = lists
                .last()
                .map_or(0, |list: &List| list.first + list.panel * panels);
            lists.push(List {
                first,
                panel,
                depth: rows,
            });
            rest = others;
        }
        Packed { numbers, lists }
    }

    /// The columns `first ..` of the given taps, `width` to a row, zeros after the last column.
    /// Each tap is one run of the matrix's rows, or several taps that lie together.
    #[inline(always)]
    pub(super) fn pack_panel(
        &self,
        taps: &[usize],
        run: usize,
        first: usize,
        width: usize,
        panel: &mut [f32],
    ) {
        for (&tap, target) in taps
            .iter()
            .zip(panel.chunks_exact_mut((run * width).max(1)))
        {
            self.pack_rows(tap, 0..run, first, width, target);
        }
    }

    /// Some rows of a tap.
    #[inline(always)]
    fn pack_rows(
        &self,
        tap: usize,
        rows: Range<usize>,
        first: usize,
        width: usize,
        target: &mut [f32],
    ) {
        let start = tap * self.tap + first * self.columns.1 + rows.start * self.rows.1;
        let count = width.min(self.columns.0 - first);
        match width {
            32 => self.pack::<32>(start, count, target.as_chunks_mut().0),
            _ => self.pack::<16>(start, count, target.as_chunks_mut().0),
        }
    }

    /// A part of some rows of a tap, at most BLOCK, an even number, in pairs.
    #[inline(always)]
    fn pack_pairs(
        &self,
        part: Part,
        tap: usize,
        rows: Range<usize>,
        first: usize,
        target: &mut [f32],
    ) {
        let width = 2 * target.len() / rows.len();
        let mut block = [0.0; BLOCK * WIDEST];
        let block = &mut block[..rows.len() * width];
        self.pack_rows(tap, rows, first, width, block);
        if part != Part::High {
            for number in &mut *block {
                *number = part.of(*number);
            }
        }
        match width {
            WIDEST => pair_rows::<WIDEST>(block.as_chunks_mut().0),
            _ => pair_rows::<16>(block.as_chunks_mut().0),
        }
        target.copy_from_slice(&block[..target.len()]);
    }

    /// The rows and the `count` columns that begin at `start` in the kernel.
    #[inline(always)]
    fn pack<const WIDTH: usize>(&self, start: usize, count: usize, rows: &mut [[f32; WIDTH]]) {
        if count < WIDTH {
            rows.as_flattened_mut().fill(0.0);
        }
        if self.columns.1 > 1 {
            return self.transpose(start, count, rows);
        }
        for (k, row) in rows.iter_mut().enumerate() {
            let source = &self.kernel[start + k * self.rows.1..][..count];
            match source.first_chunk::<WIDTH>() {
                Some(source) => *row = *source,
                None => row[..count].copy_from_slice(source),
            }
        }
    }

    /// Sixteen numbers of each column at a time: what is read and what is written then
    /// stay in the first-level cache.
    #[inline(always)]
    fn transpose<const WIDTH: usize>(&self, start: usize, count: usize, rows: &mut [[f32; WIDTH]]) {
        for (index, rows) in rows.chunks_mut(BLOCK).enumerate() {
            let begin = index * BLOCK;
            if count == WIDTH && rows.len() == BLOCK {
                let columns = &self.kernel[start + begin..];
                transpose_strided(columns, self.columns.1, rows);
                // Those behind them are read once the other panels have had theirs.
                for column in columns.chunks(self.columns.1).take(count) {
                    prefetch(column.get(BLOCK..BLOCK + 1).unwrap_or_default());
                }
                continue;
            }
            for column in 0..count {
                let source = &self.kernel[start + column * self.columns.1 + begin..];
                for (row, &value) in rows.iter_mut().zip(source) {
                    row[column] = value;
                }
            }
        }
    }
}

/// Ranges of columns, of whole panels: so many that they and `blocks` of rows make
/// `least_tasks`, if there are enough panels.
pub(super) fn column_groups(
    width: usize,
    columns: usize,
    blocks: usize,
    least_tasks: usize,
) -> Vec<Range<usize>> {
    let panels = columns.div_ceil(width);
    let groups = least_tasks.div_ceil(blocks.max(1)).clamp(1, panels);
    let size = panels.div_ceil(groups) * width;
    ranges(columns, size)
}

thread_local! {
    static WEIGHTS: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
}

/// Weights in panels, as the inner loops want them.
pub(super) struct Packed {
    numbers: Scratch,
    lists: Vec<List>,
}

/// The panels of one list of taps.
struct List {
    first: usize,
    /// Numbers and rows of a panel.
    panel: usize,
    depth: usize,
}

impl Packed {
    /// Panels `[tap, row, column of the panel]` of a list of taps, side by side.
    #[inline(always)]
    pub(super) fn panels(&self, list: usize, panels: Range<usize>) -> &[f32] {
        let List { first, panel, .. } = self.lists[list];
        &self.numbers.numbers()[first + panels.start * panel..][..panels.len() * panel]
    }

    /// Rows of the longest list's panels.
    pub(super) fn depth(&self) -> usize {
        self.lists.iter().map(|list| list.depth).max().unwrap_or(0)
    }
}

impl Drop for Packed {
    /// The memory serves the next product of this thread.
    fn drop(&mut self) {
        WEIGHTS.set(std::mem::take(&mut self.numbers));
    }
}

fn_per_level! {
    /// Packs panels side by side, from the column `first` on.
    fn pack_panels<'a>(
        weights: &'a Weights<'a>,
        operands: Operands,
        taps: &'a [usize],
        run: usize,
        first: usize,
        width: usize,
        target: &'a mut [f32],
    ) -> () {
        let depth = operands.places(run);
        let size = operands.panel_rows(taps.len() * depth) * width;
        let panels = (target.len() / size.max(1)).max(1);
        for panel in target.chunks_exact_mut(size.max(1)) {
            panel[taps.len() * depth * width..].fill(0.0);
        }
        let parts = operands.parts().iter();
        let runs = parts.flat_map(|&part| taps.iter().map(move |&tap| (part, tap)));
        // A few rows of all panels at a time: what is read then lies together.
        for (index, (part, tap)) in runs.enumerate() {
            for start in (0..run).step_by(BLOCK) {
                let rows = start..run.min(start + BLOCK);
                let places = operands.part_places(rows.len());
                for panel in 0..panels {
                    let row = index * operands.part_places(run) + operands.part_places(start);
                    let target = &mut target[panel * size + row * width..][..places * width];
                    let (column, rows) = (first + panel * width, rows.clone());
                    match operands {
                        Operands::Single => weights.pack_rows(tap, rows, column, width, target),
                        _ => weights.pack_pairs(part, tap, rows, column, target),
                    }
                }
            }
        }
    }
}
