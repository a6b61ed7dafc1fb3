//! The right operand of a convolution's products.

use std::cell::RefCell;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::simd::{Scratch, SimdLevel};

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
    pub(super) fn packed(&self, level: SimdLevel, taps: &[Vec<usize>], run: usize) -> Packed {
        let width = level.tile().columns;
        let panels = self.columns().div_ceil(width);
        let mut numbers = WEIGHTS.take();
        let mut lists = Vec::with_capacity(taps.len());
        let all: usize = taps.iter().map(Vec::len).sum();
        let mut rest = numbers.room(all * run * width * panels);
        for taps in taps {
            let panel = taps.len() * run * width;
            let (target, others) = rest.split_at_mut(panel * panels);
            target
                .par_chunks_mut(panel.max(1))
                .enumerate()
                .for_each(|(index, target)| {
                    level.run(PackPanel {
                        weights: self,
                        taps,
                        run,
                        first: index * width,
                        width,
                        target,
                    });
                });
            let first = lists
                .last()
                .map_or(0, |list: &List| list.first + list.panel * panels);
            lists.push(List { first, panel });
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
        match width {
            32 => self.pack::<32>(taps, run, first, panel),
            _ => self.pack::<16>(taps, run, first, panel),
        }
    }

    #[inline(always)]
    fn pack<const WIDTH: usize>(
        &self,
        taps: &[usize],
        run: usize,
        first: usize,
        panel: &mut [f32],
    ) {
        let count = WIDTH.min(self.columns.0 - first);
        if count < WIDTH {
            panel.fill(0.0);
        }
        let (rows, _) = panel.as_chunks_mut::<WIDTH>();
        debug_assert_eq!(rows.len(), taps.len() * run, "a panel of other taps");
        for (&tap, rows) in taps.iter().zip(rows.chunks_exact_mut(run.max(1))) {
            let start = tap * self.tap + first * self.columns.1;
            if self.columns.1 == 1 {
                for (k, row) in rows.iter_mut().enumerate() {
                    let source = &self.kernel[start + k * self.rows.1..][..count];
                    match source.first_chunk::<WIDTH>() {
                        Some(source) => *row = *source,
                        None => row[..count].copy_from_slice(source),
                    }
                }
            } else {
                self.transpose(start, count, rows);
            }
        }
    }

    /// Sixteen numbers of each column at a time: what is read and what is written then
    /// stay in the first-level cache.
    #[inline(always)]
    fn transpose<const WIDTH: usize>(&self, start: usize, count: usize, rows: &mut [[f32; WIDTH]]) {
        const BLOCK: usize = 16;
        for (index, rows) in rows.chunks_mut(BLOCK).enumerate() {
            let begin = index * BLOCK;
            for column in 0..count {
                let source = &self.kernel[start + column * self.columns.1 + begin..];
                for (row, &value) in rows.iter_mut().zip(source) {
                    row[column] = value;
                }
            }
        }
    }
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
    /// Numbers of a panel.
    panel: usize,
}

impl Packed {
    /// A panel `[tap, row, column of the panel]` of a list of taps.
    #[inline(always)]
    pub(super) fn panel(&self, list: usize, index: usize) -> &[f32] {
        let List { first, panel } = self.lists[list];
        &self.numbers.numbers()[first + index * panel..][..panel]
    }
}

impl Drop for Packed {
    /// The memory serves the next product of this thread.
    fn drop(&mut self) {
        WEIGHTS.set(std::mem::take(&mut self.numbers));
    }
}

struct PackPanel<'a> {
    weights: &'a Weights<'a>,
    taps: &'a [usize],
    run: usize,
    first: usize,
    width: usize,
    target: &'a mut [f32],
}

impl WithSimd for PackPanel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.weights
            .pack_panel(self.taps, self.run, self.first, self.width, self.target);
    }
}
