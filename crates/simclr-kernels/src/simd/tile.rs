//! The inner loops of matrix products: a tile of the result stays in registers while a
//! panel of the right operand passes by.

use std::marker::PhantomData;

use pulp::Simd;

use super::bfloat16::{self, Pairs};
use super::blocks::BlockMut;
use super::level::{SimdLevel, Tile};
use super::prefetch;
use crate::Precision;

/// What a number of an operand stands for, and how products of them are added up.
pub(super) trait Terms<S: Simd> {
    /// `sum + left right`.
    fn add(simd: S, left: S::f32s, right: S::f32s, sum: S::f32s) -> S::f32s;
}

/// One f32.
struct Numbers;

impl<S: Simd> Terms<S> for Numbers {
    #[inline(always)]
    fn add(simd: S, left: S::f32s, right: S::f32s, sum: S::f32s) -> S::f32s {
        simd.mul_add_e_f32s(left, right, sum)
    }
}

/// Rows of a left operand that lie anywhere, in tiles of as many rows as the registers
/// hold. A row consists of `taps` runs of `run` numbers, or pairs of them, one after the other.
pub(crate) struct RowTable<'a> {
    pointers: Vec<*const f32>,
    targets: Vec<usize>,
    tile: Tile,
    precision: Precision,
    taps: usize,
    run: usize,
    /// Whether each tile's runs are asked for while the one before is at work.
    asks_ahead: bool,
    borrow: PhantomData<&'a [f32]>,
}

/// Terms that are summed up in one go. Long sums are cut: a sum of short sums loses less
/// to rounding, and near zero that decides what a ReLU lets through.
const LONGEST_SUM: usize = 128;

/// A part of the sum that a product is: some taps, or a part of one.
#[derive(Debug, Clone, Copy)]
struct Piece {
    first_tap: usize,
    taps: usize,
    begin: usize,
    end: usize,
}

impl RowTable<'_> {
    /// Taps in a piece, and pieces of a tap; one of them is 1.
    #[inline(always)]
    fn cuts(&self) -> (usize, usize) {
        let taps = (LONGEST_SUM / self.run.max(1)).max(1);
        (taps, self.run.div_ceil(LONGEST_SUM).max(1))
    }

    #[inline(always)]
    fn pieces(&self) -> usize {
        let (taps, cuts) = self.cuts();
        self.taps.div_ceil(taps) * cuts
    }

    #[inline(always)]
    fn piece(&self, index: usize) -> Piece {
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
}

impl<'a> RowTable<'a> {
    pub(crate) fn new(level: SimdLevel, precision: Precision, taps: usize, run: usize) -> Self {
        Self {
            pointers: Vec::new(),
            targets: Vec::new(),
            tile: level.tile(),
            precision,
            taps,
            run,
            asks_ahead: false,
            borrow: PhantomData,
        }
    }

    /// Whether a tile's runs are to be asked for while the one before is at work: for rows
    /// that are read for the first time.
    pub(crate) fn ask_ahead(&mut self, asks_ahead: bool) {
        self.asks_ahead = asks_ahead;
    }

    /// Adds rows of one run each that lie one after the other, as in the result.
    pub(crate) fn extend_adjacent(&mut self, rows: &'a [f32]) {
        assert!(self.taps == 1 && self.targets.is_empty(), "one run a row");
        let Some(last) = (rows.len() / self.run.max(1)).checked_sub(1) else {
            return;
        };
        self.targets.extend(0..=last);
        let tiles = self.targets.len().div_ceil(self.tile.rows);
        // A tile's missing rows are the last one again; their results go nowhere.
        let of_row = |row: usize| rows[row.min(last) * self.run..][..self.run].as_ptr();
        self.pointers
            .extend((0..tiles * self.tile.rows).map(of_row));
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

/// What follows a product while a tile of it is at hand.
pub(crate) trait TileEpilogue {
    /// Asks for what it will need for these rows of the block.
    fn prefetch(&self, rows: &[usize]);

    /// Sees, and may change, what goes into some rows of the block (their numbers in
    /// `rows`, as many as there are `values`), from a column of the panel on.
    fn tile<S: Simd, const VECTORS: usize>(
        &mut self,
        simd: S,
        column: usize,
        values: &mut [[S::f32s; VECTORS]],
        rows: &[usize],
    );
}

/// Nothing follows.
impl TileEpilogue for () {
    #[inline(always)]
    fn prefetch(&self, _: &[usize]) {}

    #[inline(always)]
    fn tile<S: Simd, const VECTORS: usize>(
        &mut self,
        _: S,
        _: usize,
        _: &mut [[S::f32s; VECTORS]],
        _: &[usize],
    ) {
    }
}

/// The widest tile of any level, and its rows: what partial tiles are computed in.
const WIDEST_ROW: usize = 32;
const LARGEST_TILE: usize = 12 * WIDEST_ROW;

/// `block[target(r), c] = Σ over k of row(r)[k] panels[k, c]`, for all rows of the table, and
/// what follows it.
///
/// There is a panel `[taps * run, tile columns]` for each of `ends`, side by side; the unused
/// columns of the last one are filled with anything. A tile of rows meets all panels before
/// the next one does, so that rows of the result are written, and those of what is added to
/// them are read, in long pieces.
#[inline(always)]
pub(crate) fn multiply<S: Simd, End: TileEpilogue>(
    simd: S,
    table: &RowTable<'_>,
    panels: &[f32],
    block: &mut BlockMut<'_>,
    ends: &mut [End],
) {
    let Tile { rows, columns } = table.tile;
    match (S::F32_LANES, rows, columns, table.precision) {
        (16, 12, 32, Precision::Single) => {
            multiply_tiles::<S, Numbers, 12, 2, End>(simd, table, panels, block, ends)
        }
        (8, 6, 16, Precision::Single) => {
            multiply_tiles::<S, Numbers, 6, 2, End>(simd, table, panels, block, ends)
        }
        (4, 6, 16, Precision::Single) => {
            multiply_tiles::<S, Numbers, 6, 4, End>(simd, table, panels, block, ends)
        }
        (16, 12, 32, Precision::BFloat16) => bfloat16::multiply(table, panels, block, ends),
        (8, 6, 16, Precision::BFloat16) => {
            multiply_tiles::<S, Pairs, 6, 2, End>(simd, table, panels, block, ends)
        }
        (lanes, rows, columns, _) => unsupported((lanes, rows, columns)),
    }
}

#[cold]
#[allow(clippy::panic)]
pub(super) fn unsupported(tile: (usize, usize, usize)) -> ! {
    panic!(
        "no kernel for tiles (lanes, rows, columns) {tile:?}: a table was made for another level"
    )
}

#[inline(always)]
pub(super) fn multiply_tiles<
    S: Simd,
    T: Terms<S>,
    const ROWS: usize,
    const VECTORS: usize,
    End: TileEpilogue,
>(
    simd: S,
    table: &RowTable<'_>,
    panels: &[f32],
    block: &mut BlockMut<'_>,
    ends: &mut [End],
) {
    let width = VECTORS * S::F32_LANES;
    let size = table.taps * table.run * width;
    assert!(panels.len() >= ends.len() * size && block.columns() <= ends.len() * width);
    let pointers_of_tile = table.taps * ROWS;
    for (tile, targets) in table.targets.chunks(ROWS).enumerate() {
        let (pointers, next) = table.pointers[tile * pointers_of_tile..].split_at(pointers_of_tile);
        let asked_for = if table.asks_ahead {
            pointers_of_tile
        } else {
            0
        };
        let next = &next[..next.len().min(asked_for)];
        let mut next = next.chunks(pointers_of_tile.div_ceil(ends.len()).max(1));
        for (index, end) in ends.iter_mut().enumerate() {
            let panel = &panels[index * size..(index + 1) * size];
            end.prefetch(targets);
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
            end.tile(simd, 0, sums, targets);
            let first = index * width;
            let columns = first..block.columns().min(first + width);
            write_tile::<S, VECTORS>(sums, targets, &mut block.narrow(columns));
        }
    }
}

/// Writes the rows of a tile to their places.
#[inline(always)]
fn write_tile<S: Simd, const VECTORS: usize>(
    sums: &[[S::f32s; VECTORS]],
    targets: &[usize],
    block: &mut BlockMut<'_>,
) {
    let width = VECTORS * S::F32_LANES;
    let columns = block.columns();
    for (sums, &target) in sums.iter().zip(targets) {
        let start = block.pointer(target);
        if columns == width {
            for (vector, &sum) in sums.iter().enumerate() {
                // SAFETY: the row has `columns == VECTORS * LANES` elements.
                unsafe { store::<S>(start.add(vector * S::F32_LANES), sum) };
            }
            continue;
        }
        let mut row = [0f32; WIDEST_ROW];
        for (vector, &sum) in sums.iter().enumerate() {
            let place = &mut row[vector * S::F32_LANES..][..S::F32_LANES];
            // SAFETY: the place was just cut to LANES elements.
            unsafe { store::<S>(place.as_mut_ptr(), sum) };
        }
        for (column, &value) in row[..columns].iter().enumerate() {
            // SAFETY: the row has `columns` elements.
            unsafe { start.add(column).write(value) };
        }
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

/// Rows of a tile of a sum of outer products.
pub(crate) struct FilterTile;

impl FilterTile {
    /// The rows of the largest tile.
    pub(crate) const MOST_ROWS: usize = 12;

    /// How many rows the left panels of [`add_outer_products`] have, if about `size` rows
    /// are to be cut into panels: the most, unless too much of the last one stays empty.
    pub(crate) fn rows(level: SimdLevel, size: usize) -> usize {
        match level {
            SimdLevel::Avx512 if 16 * size.next_multiple_of(12) <= 17 * size => 12,
            SimdLevel::Avx512 => 8,
            SimdLevel::Avx2 | SimdLevel::Neon | SimdLevel::Portable => 6,
        }
    }
}

/// The operands of a sum of outer products over some pixels.
#[derive(Clone, Copy)]
pub(crate) struct OuterProducts<'a> {
    /// How many pixels.
    pub(crate) count: usize,
    /// The first pixel's left numbers; those of the next one lie `left_stride` further on.
    pub(crate) left: &'a [f32],
    pub(crate) left_stride: usize,
    /// How many of the left numbers make a tile, see [`FilterTile`].
    pub(crate) tile_rows: usize,
    /// `[count, tile columns]`.
    pub(crate) right: &'a [f32],
}

/// `target[r, 0..columns] += Σ over p of left[p][r] right[p]`, for the first `rows` rows of
/// the tile; `size` is (rows, columns), `target` has rows of `stride` elements.
#[inline(always)]
pub(crate) fn add_outer_products<S: Simd>(
    simd: S,
    operands: OuterProducts<'_>,
    target: &mut [f32],
    stride: usize,
    size: (usize, usize),
) {
    match (S::F32_LANES, operands.tile_rows) {
        (16, 12) => add_tile::<S, 12, 2>(simd, operands, target, stride, size),
        (16, 8) => add_tile::<S, 8, 2>(simd, operands, target, stride, size),
        (8, 6) => add_tile::<S, 6, 2>(simd, operands, target, stride, size),
        (4, 6) => add_tile::<S, 6, 4>(simd, operands, target, stride, size),
        (lanes, rows) => unsupported((lanes, rows, 0)),
    }
}

#[inline(always)]
fn add_tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    operands: OuterProducts<'_>,
    target: &mut [f32],
    stride: usize,
    (rows, columns): (usize, usize),
) {
    let OuterProducts {
        count,
        left,
        left_stride,
        right,
        ..
    } = operands;
    let width = VECTORS * S::F32_LANES;
    let Some(last) = count.checked_sub(1) else {
        return;
    };
    assert!(left.len() >= last * left_stride + ROWS && right.len() >= count * width);
    assert!((1..=ROWS).contains(&rows) && (1..=width).contains(&columns));
    assert!(target.len() >= (rows - 1) * stride + columns);
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    let (mut a, mut b) = (left.as_ptr(), right.as_ptr());
    for _ in 0..count {
        // SAFETY: the lengths were checked above: `count` steps of `left_stride`, with ROWS
        // numbers at each, and of `width`.
        unsafe {
            let mut values = [simd.splat_f32s(0.0); VECTORS];
            for (vector, value) in values.iter_mut().enumerate() {
                *value = load::<S>(b.add(vector * S::F32_LANES));
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let factor = simd.splat_f32s(*a.add(row));
                for (sum, &value) in sums.iter_mut().zip(&values) {
                    *sum = simd.mul_add_e_f32s(factor, value, *sum);
                }
            }
            b = b.add(width);
            // Behind the last pixel there may be nothing to point to.
            a = a.wrapping_add(left_stride);
        }
    }
    if rows == ROWS && columns == width {
        for (row, sums) in sums.iter().enumerate() {
            for (vector, &sum) in sums.iter().enumerate() {
                let place = &mut target[row * stride + vector * S::F32_LANES..][..S::F32_LANES];
                // SAFETY: the place was just cut to LANES elements.
                unsafe {
                    let total = simd.add_f32s(load::<S>(place.as_ptr()), sum);
                    store::<S>(place.as_mut_ptr(), total);
                }
            }
        }
        return;
    }
    let mut whole = [0f32; LARGEST_TILE];
    for (row, sums) in sums.iter().enumerate() {
        for (vector, &sum) in sums.iter().enumerate() {
            let place = &mut whole[row * width + vector * S::F32_LANES..][..S::F32_LANES];
            // SAFETY: the place was just cut to LANES elements.
            unsafe { store::<S>(place.as_mut_ptr(), sum) };
        }
    }
    for row in 0..rows {
        let target = &mut target[row * stride..][..columns];
        for (sum, value) in target.iter_mut().zip(&whole[row * width..]) {
            *sum += value;
        }
    }
}

/// # Safety
/// `from` points to LANES numbers.
#[inline(always)]
unsafe fn load<S: Simd>(from: *const f32) -> S::f32s {
    // SAFETY: vectors are plain data; the read is unaligned.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

/// # Safety
/// `to` points to room for LANES numbers.
#[inline(always)]
unsafe fn store<S: Simd>(to: *mut f32, value: S::f32s) {
    // SAFETY: vectors are plain data; the write is unaligned.
    unsafe { to.cast::<S::f32s>().write_unaligned(value) }
}

/// The numbers at the front of a slice, which has enough of them.
#[inline(always)]
pub(crate) fn load_from<S: Simd>(values: &[f32]) -> S::f32s {
    S::as_simd_f32s(&values[..S::F32_LANES]).0[0]
}

/// Writes to the front of a slice, which is long enough.
#[inline(always)]
pub(crate) fn store_to<S: Simd>(values: &mut [f32], value: S::f32s) {
    S::as_mut_simd_f32s(&mut values[..S::F32_LANES]).0[0] = value;
}
