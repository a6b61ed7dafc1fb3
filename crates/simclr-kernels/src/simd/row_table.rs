//! The left operand of a matrix product: rows that are read where they lie.

use std::marker::PhantomData;

use super::level::{SimdLevel, Tile};
use super::operands::Operands;

/// Rows of a left operand that lie anywhere, in tiles of as many rows as the registers
/// hold. A row consists of `taps` runs of `run` numbers, or pairs of them, one after the other.
pub(crate) struct RowTable<'a> {
    pub(super) pointers: Vec<*const f32>,
    pub(super) targets: Vec<usize>,
    pub(super) tile: Tile,
    pub(super) operands: Operands,
    pub(super) taps: usize,
    pub(super) run: usize,
    /// Whether each tile's runs are prefetched while the previous tile is computed.
    pub(super) prefetches_next: bool,
    borrow: PhantomData<&'a [f32]>,
}

/// Terms that are summed up in one go. Long sums are cut: a sum of short sums loses less
/// to rounding, and near zero that decides what a ReLU lets through.
const LONGEST_SUM: usize = 128;

/// A part of the sum that a product is: some taps, or a part of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) first_tap: usize,
    pub(super) taps: usize,
    pub(super) begin: usize,
    pub(super) end: usize,
}

impl<'a> RowTable<'a> {
    /// Taps in a piece, and pieces of a tap; one of them is 1.
    #[inline(always)]
    fn cuts(&self) -> (usize, usize) {
        let taps = (LONGEST_SUM / self.run.max(1)).max(1);
        (taps, self.run.div_ceil(LONGEST_SUM).max(1))
    }

    #[inline(always)]
    pub(super) fn pieces(&self) -> usize {
        let (taps, cuts) = self.cuts();
        self.taps.div_ceil(taps) * cuts
    }

    #[inline(always)]
    pub(super) fn piece(&self, index: usize) -> Piece {
        let (taps, cuts) = self.cuts();
        let length = self.run.div_ceil(cuts);
        let first_tap = index / cuts * taps;
        let begin = index % cuts * length;
        Piece {
            first_tap,
            taps: taps.min(self.taps - first_tap),
            begin,
            end: self.run.min(begin + length),
        }
    }

    pub(crate) fn new(level: SimdLevel, operands: Operands, taps: usize, run: usize) -> Self {
        Self {
            pointers: Vec::new(),
            targets: Vec::new(),
            tile: operands.tile(level),
            operands,
            taps,
            run,
            prefetches_next: false,
            borrow: PhantomData,
        }
    }

    /// Sets whether each tile's runs are prefetched while the previous tile is computed: for
    /// rows that are read for the first time.
    pub(crate) fn prefetch_next(&mut self, prefetches_next: bool) {
        self.prefetches_next = prefetches_next;
    }

    /// Adds rows whose runs, and which themselves, lie one after the other, as in the result.
    pub(crate) fn extend_adjacent(&mut self, rows: &'a [f32]) {
        assert!(self.targets.is_empty(), "the only rows");
        let Some(last) = (rows.len() / (self.taps * self.run).max(1)).checked_sub(1) else {
            return;
        };
        self.targets.extend(0..=last);
        // A tile's missing rows are the last one again; their results go nowhere.
        let of_row = |row: usize, tap| {
            let run = row.min(last) * self.taps + tap;
            rows[run * self.run..][..self.run].as_ptr()
        };
        for first in (0..=last).step_by(self.tile.rows) {
            for tap in 0..self.taps {
                let rows = first..first + self.tile.rows;
                self.pointers.extend(rows.map(|row| of_row(row, tap)));
            }
        }
    }

    /// Adds rows: their places in the result, and the run of each (row, tap).
    pub(crate) fn extend(
        &mut self,
        targets: impl Iterator<Item = usize>,
        zeros: &'a [f32],
        runs: impl Fn(usize, usize) -> Option<&'a [f32]>,
    ) {
        assert!(zeros.len() >= self.run);
        let first = self.targets.len();
        assert!(
            first.is_multiple_of(self.tile.rows),
            "tiles have to be full"
        );
        self.targets.extend(targets);
        let rows = self.targets.len() - first;
        let tiles = rows.div_ceil(self.tile.rows);
        self.pointers.reserve(tiles * self.taps * self.tile.rows);
        for tile in 0..tiles {
            for tap in 0..self.taps {
                for row in tile * self.tile.rows..(tile + 1) * self.tile.rows {
                    let run = if row < rows { runs(row, tap) } else { None }.unwrap_or(zeros);
                    assert!(run.len() >= self.run, "a run of {} numbers", self.run);
                    self.pointers.push(run.as_ptr());
                }
            }
        }
    }
}
