//! Matrices that many threads write at once, each its own block.

use std::marker::PhantomData;
use std::ops::Range;

use pulp::Simd;
use rayon::prelude::*;

use super::vector::store;
use crate::memory::{Buffer, buffer};

/// Rows and columns of a row-major matrix that one thread has to itself.
pub(crate) struct BlockMut<'a> {
    start: *mut f32,
    rows: usize,
    columns: usize,
    stride: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

impl<'a> BlockMut<'a> {
    /// A whole matrix.
    pub(crate) fn of(matrix: &'a mut [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(matrix.len(), rows * columns, "a {rows} x {columns} matrix");
        Self {
            start: matrix.as_mut_ptr(),
            rows,
            columns,
            stride: columns,
            borrow: PhantomData,
        }
    }
}

impl BlockMut<'_> {
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// A row.
    #[inline(always)]
    pub(crate) fn row_mut(&mut self, index: usize) -> &mut [f32] {
        let start = self.row_pointer(index);
        // SAFETY: the row has `columns` initialised elements that belong to this block alone,
        // and `self` is borrowed mutably for as long as the row.
        unsafe { std::slice::from_raw_parts_mut(start, self.columns) }
    }

    /// Writes vectors to a column of as many rows from `first` on.
    ///
    /// # Panics
    /// If the block has no room for them.
    #[inline(always)]
    pub(crate) fn store_rows<S: Simd>(&mut self, first: usize, column: usize, vectors: &[S::f32s]) {
        let fits = |start: usize, count, size| start <= size && count <= size - start;
        assert!(fits(first, vectors.len(), self.rows) && fits(column, S::F32_LANES, self.columns));
        for (row, &vector) in vectors.iter().enumerate() {
            // SAFETY: the row and as many of its columns as a vector has lie in this block.
            unsafe { store::<S>(self.start.add((first + row) * self.stride + column), vector) };
        }
    }

    /// All elements, if the block has all columns of its matrix.
    pub(crate) fn all_mut(&mut self) -> &mut [f32] {
        assert!(self.columns == self.stride, "a block of whole rows");
        // SAFETY: as in `row_mut`; whole rows lie one after the other.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.rows * self.columns) }
    }

    /// Some of the columns.
    pub(crate) fn narrow(&mut self, columns: Range<usize>) -> BlockMut<'_> {
        assert!(columns.start <= columns.end && columns.end <= self.columns);
        BlockMut {
            // SAFETY: the columns lie in this block.
            start: unsafe { self.start.add(columns.start) },
            rows: self.rows,
            columns: columns.len(),
            stride: self.stride,
            borrow: PhantomData,
        }
    }

    /// The first element of a row, for kernels that write it whole.
    #[inline(always)]
    pub(super) fn row_pointer(&mut self, row: usize) -> *mut f32 {
        assert!(row < self.rows);
        // SAFETY: the row lies in this block.
        unsafe { self.start.add(row * self.stride) }
    }
}

/// A pointer that may cross threads, because each uses a part of its own.
struct Shared(*mut f32);

// SAFETY: `fill_blocks` hands out disjoint blocks of what the pointer points to.
unsafe impl Sync for Shared {}

impl Shared {
    fn get(&self) -> *mut f32 {
        self.0
    }
}

/// A row-major matrix with `stride` columns whose blocks are written in parallel: every
/// range of rows with every range of columns. The ranges cover rows and columns without
/// overlap. What `work` does not write of its block keeps any value (NaN in debug builds).
/// Also returns what `work` returned, all columns of the first rows first.
pub(crate) fn fill_blocks<R: Send>(
    stride: usize,
    rows: &[Range<usize>],
    columns: &[Range<usize>],
    work: impl Fn(usize, usize, BlockMut<'_>) -> R + Sync,
) -> (Buffer, Vec<R>) {
    let (height, width) = (covered(rows), covered(columns));
    assert_eq!(width, stride, "blocks have to cover all columns");
    let mut matrix = buffer(height * stride);
    if cfg!(debug_assertions) {
        matrix.fill(f32::NAN);
    }
    let shared = Shared(matrix.as_mut_ptr());
    let results = (0..rows.len() * columns.len())
        .into_par_iter()
        .with_max_len(1)
        .map(|task| {
            let (row, column) = (task / columns.len(), task % columns.len());
            let (of_rows, of_columns) = (&rows[row], &columns[column]);
            let offset = of_rows.start * stride + of_columns.start;
            let block = BlockMut {
                // SAFETY: `covered` has checked that the ranges lie within the matrix and do
                // not overlap; the matrix is not used otherwise until all tasks have ended.
                start: unsafe { shared.get().add(offset) },
                rows: of_rows.len(),
                columns: of_columns.len(),
                stride,
                borrow: PhantomData,
            };
            work(row, column, block)
        })
        .collect();
    (matrix, results)
}

/// A new buffer of the size of `beside`, chunk by chunk of `size` elements: `work` writes
/// its chunk, and may change the same chunk of `beside`.
pub(crate) fn fill_beside(
    beside: &mut [f32],
    size: usize,
    work: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) -> Buffer {
    let mut filled = buffer(beside.len());
    beside
        .par_chunks_mut(size)
        .zip(filled.par_chunks_mut(size))
        .enumerate()
        .for_each(|(chunk, (beside, filled))| work(chunk, beside, filled));
    filled
}

/// All columns as one range.
#[allow(clippy::single_range_in_vec_init)] // One range is meant, not its elements.
pub(crate) fn whole(columns: usize) -> [Range<usize>; 1] {
    [0..columns]
}

/// The end of ranges that follow each other from 0 on.
fn covered(ranges: &[Range<usize>]) -> usize {
    ranges.iter().fold(0, |end, range| {
        assert!(range.start == end && range.end >= end, "ranges with gaps");
        range.end
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_the_matrix() {
        let (matrix, results) =
            fill_blocks(5, &[0..2, 2..3], &[0..3, 3..5], |row, column, mut block| {
                for index in 0..block.rows() {
                    block.row_mut(index).fill((10 * row + column) as f32);
                }
                block.columns()
            });
        let upper = [0., 0., 0., 1., 1.];
        let lower = [10., 10., 10., 11., 11.];
        assert_eq!(*matrix, [upper, upper, lower].concat());
        assert_eq!(results, [3, 2, 3, 2]);
    }

    #[test]
    #[should_panic(expected = "ranges with gaps")]
    fn gaps_are_refused() {
        let _ = fill_blocks(2, &[0..1, 2..3], &whole(2), |_, _, _| ());
    }
}
