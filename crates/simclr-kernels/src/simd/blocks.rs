//! Matrices that many threads write at once, each its own block.

use std::marker::PhantomData;
use std::ops::Range;

use pulp::Simd;
use rayon::prelude::*;

use super::bfloat16::{round_to_pairs, store_rounded};
use super::level::WIDEST;
use super::numbers::Format;
use super::vector::{store, store_to};
use crate::memory::{Buffer, buffer};

/// Rows and columns of a row-major matrix that one thread has to itself. Columns are counted in
/// numbers, whatever places they take; of pairs, a block has whole ones.
pub(crate) struct BlockMut<'a> {
    start: *mut f32,
    format: Format,
    rows: usize,
    columns: usize,
    stride: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

impl<'a> BlockMut<'a> {
    /// A whole matrix of f32.
    pub(crate) fn of(matrix: &'a mut [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(matrix.len(), rows * columns, "a {rows} x {columns} matrix");
        Self {
            start: matrix.as_mut_ptr(),
            format: Format::Single,
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

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Writes vectors to a column of as many rows from `first` on.
    ///
    /// # Panics
    /// If the block has no room for them.
    #[inline(always)]
    pub(crate) fn store_rows<S: Simd>(
        &mut self,
        simd: S,
        first: usize,
        column: usize,
        vectors: &[S::f32s],
    ) {
        let fits = |start: usize, count, size| start <= size && count <= size - start;
        assert!(fits(first, vectors.len(), self.rows) && fits(column, S::F32_LANES, self.columns));
        for (row, &vector) in vectors.iter().enumerate() {
            let offset = self.format.places((first + row) * self.stride + column);
            // SAFETY: the row and as many of its columns as a vector has lie in this block.
            unsafe {
                match self.format {
                    Format::Single => store::<S>(self.start.add(offset), vector),
                    Format::Pairs => store_rounded(simd, self.start.add(offset), vector),
                }
            }
        }
    }

    /// Writes a whole row, of which the last vector may have numbers too many.
    #[inline(always)]
    pub(super) fn store_row<S: Simd>(&mut self, simd: S, row: usize, vectors: &[S::f32s]) {
        if self.columns == vectors.len() * S::F32_LANES {
            for (index, vector) in vectors.iter().enumerate() {
                self.store_rows(
                    simd,
                    row,
                    index * S::F32_LANES,
                    std::slice::from_ref(vector),
                );
            }
            return;
        }
        let mut numbers = [0f32; WIDEST];
        for (numbers, &vector) in numbers.chunks_mut(S::F32_LANES).zip(vectors) {
            store_to::<S>(numbers, vector);
        }
        let (numbers, format) = (&numbers[..self.columns], self.format);
        assert!(row < self.rows);
        // SAFETY: the row has the places of `columns` numbers, initialised ones that belong to this
        // block alone.
        let places = unsafe {
            let start = self.start.add(format.places(row * self.stride));
            std::slice::from_raw_parts_mut(start, format.places(self.columns))
        };
        match format {
            Format::Single => places.copy_from_slice(numbers),
            Format::Pairs => round_to_pairs(numbers.iter().copied(), places),
        }
    }

    /// The places of all elements, if the block has all columns of its matrix.
    pub(crate) fn all_mut(&mut self) -> &mut [f32] {
        assert!(self.columns == self.stride, "a block of whole rows");
        let places = self.format.places(self.rows * self.columns);
        // SAFETY: they are initialised and belong to this block alone, whole rows lie one after the
        // other, and `self` is borrowed mutably for as long as they are.
        unsafe { std::slice::from_raw_parts_mut(self.start, places) }
    }

    /// Some of the columns.
    pub(crate) fn narrow(&mut self, columns: Range<usize>) -> BlockMut<'_> {
        assert!(columns.start <= columns.end && columns.end <= self.columns);
        BlockMut {
            // SAFETY: the columns lie in this block.
            start: unsafe { self.start.add(self.format.places(columns.start)) },
            format: self.format,
            rows: self.rows,
            columns: columns.len(),
            stride: self.stride,
            borrow: PhantomData,
        }
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
    fill_map_blocks(Format::Single, stride, rows, columns, work)
}

/// As [`fill_blocks`], for numbers of any format.
pub(crate) fn fill_map_blocks<R: Send>(
    format: Format,
    stride: usize,
    rows: &[Range<usize>],
    columns: &[Range<usize>],
    work: impl Fn(usize, usize, BlockMut<'_>) -> R + Sync,
) -> (Buffer, Vec<R>) {
    let (height, width) = (covered(rows), covered(columns));
    assert_eq!(width, stride, "blocks have to cover all columns");
    let whole_pairs = columns.iter().all(|range| range.end.is_multiple_of(2));
    assert!(
        format == Format::Single || whole_pairs,
        "blocks have to have whole pairs"
    );
    let mut matrix = buffer(format.places(height * stride));
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
                start: unsafe { shared.get().add(format.places(offset)) },
                format,
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
                let numbers = [(10 * row + column) as f32; 3];
                for index in 0..block.rows() {
                    block.store_row(pulp::Scalar, index, &numbers[..block.columns()]);
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
