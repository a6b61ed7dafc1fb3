//! The matrix products of the loss: few shapes, operands packed once.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Rows of the result that are computed together.
const ROWS: usize = 6;
/// Vectors side by side in a row of the result.
const VECTORS: usize = 2;
/// Every block of rows or columns starts at a multiple of this: a whole number
/// of panels for vectors of 1, 2, 4, 8 or 16 numbers.
pub(super) const ALIGNMENT: usize = 32;

/// The columns of a panel on this machine: two vectors.
pub(super) fn panel_width(arch: pulp::Arch) -> usize {
    struct Width;
    impl WithSimd for Width {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            VECTORS * S::F32_LANES
        }
    }
    arch.dispatch(Width)
}

/// `matrix` `[rows, columns]` as panels of `width` columns: `[panel][row][width]`,
/// the last one filled up with zeros.
pub(super) fn pack(matrix: &[f32], columns: usize, width: usize) -> Vec<f32> {
    let rows = matrix.len() / columns.max(1);
    let mut packed = vec![0.0; columns.div_ceil(width) * rows * width];
    for (panel, packed) in packed.chunks_exact_mut((rows * width).max(1)).enumerate() {
        let start = panel * width;
        let end = columns.min(start + width);
        for (row, packed) in matrix
            .chunks_exact(columns)
            .zip(packed.chunks_exact_mut(width))
        {
            packed[..end - start].copy_from_slice(&row[start..end]);
        }
    }
    packed
}

/// The transpose of `matrix` `[rows, columns]` as panels of `width` of its rows:
/// `[panel][column][width]`, the last one filled up with zeros.
pub(super) fn pack_transposed(matrix: &[f32], columns: usize, width: usize) -> Vec<f32> {
    let rows = matrix.len() / columns.max(1);
    let mut packed = vec![0.0; rows.div_ceil(width) * columns * width];
    let size = columns * width;
    packed
        .par_chunks_mut(size.max(1))
        .zip(matrix.par_chunks(size.max(1)))
        .with_min_len(MIN_PANELS)
        .for_each(|(panel, rows)| {
            for (row, values) in rows.chunks_exact(columns.max(1)).enumerate() {
                for (target, &value) in panel[row..].iter_mut().step_by(width).zip(values) {
                    *target = value;
                }
            }
        });
    packed
}

/// Panels that a thread packs at least.
const MIN_PANELS: usize = 4;

/// The left operand: `rows` rows of `depth` numbers.
#[derive(Clone, Copy)]
pub(super) enum Left<'a> {
    /// Row after row, `stride` apart.
    Rows {
        /// The values from the first row's start on.
        values: &'a [f32],
        /// From one row to the next.
        stride: usize,
    },
    /// Column after column, `stride` apart, each with at least five readable values after it.
    Columns {
        /// The values from the first column's start on.
        values: &'a [f32],
        /// From one column to the next.
        stride: usize,
    },
}

/// `out = left * panels`, or `out += left * panels`.
pub(super) struct Product<'a> {
    /// Of the result.
    pub(super) rows: usize,
    /// Terms of each sum.
    pub(super) depth: usize,
    pub(super) left: Left<'a>,
    /// `[panel][depth][width]`.
    pub(super) panels: &'a [f32],
    /// `[rows, stride]`; the stride has room for all panels.
    pub(super) out: &'a mut [f32],
    pub(super) out_stride: usize,
    pub(super) accumulate: bool,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = VECTORS * S::F32_LANES;
        for (panel, values) in self.panels.chunks_exact(self.depth * width).enumerate() {
            let (right, _) = S::as_simd_f32s(values);
            for row in (0..self.rows).step_by(ROWS) {
                let sums = match self.left {
                    Left::Rows { values, stride } => {
                        let rows: [&[f32]; ROWS] = std::array::from_fn(|i| {
                            // Past the end the last row is computed again, and dropped.
                            let start = (row + i).min(self.rows - 1) * stride;
                            &values[start..start + self.depth]
                        });
                        sums(simd, right, self.depth, |k| rows.map(|row| row[k]))
                    }
                    Left::Columns { values, stride } => sums(simd, right, self.depth, |k| {
                        let start = k * stride + row;
                        let (column, _) = values[start..].as_chunks::<ROWS>();
                        column[0]
                    }),
                };
                let kept = ROWS.min(self.rows - row);
                for (i, sums) in sums.iter().take(kept).enumerate() {
                    let start = (row + i) * self.out_stride + panel * width;
                    let (out, _) = S::as_mut_simd_f32s(&mut self.out[start..start + width]);
                    for (out, &sum) in out.iter_mut().zip(sums) {
                        *out = if self.accumulate {
                            simd.add_f32s(*out, sum)
                        } else {
                            sum
                        };
                    }
                }
            }
        }
    }
}

/// Sums of products of `ROWS` rows of the left operand with one panel.
#[inline(always)]
fn sums<S: Simd>(
    simd: S,
    right: &[S::f32s],
    depth: usize,
    left: impl Fn(usize) -> [f32; ROWS],
) -> [[S::f32s; VECTORS]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    let (right, _) = right.as_chunks::<VECTORS>();
    for (k, right) in right.iter().take(depth).enumerate() {
        let left = left(k);
        for (sums, left) in sums.iter_mut().zip(left) {
            let left = simd.splat_f32s(left);
            for (sum, &right) in sums.iter_mut().zip(right) {
                *sum = simd.mul_add_f32s(left, right, *sum);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 37) % 19) as f32 - 9.0).collect()
    }

    /// Whole numbers: every order of summation gives the same.
    #[test]
    fn products_of_any_size_are_exact() {
        let arch = pulp::Arch::new();
        let width = panel_width(arch);
        for (rows, depth, columns) in [(1, 1, 1), (6, 4, 32), (7, 5, 33), (96, 128, 200)] {
            let (a, b) = (numbers(rows * depth), numbers(depth * columns));
            let mut expected = vec![0.0; rows * columns];
            for (i, expected) in expected.chunks_exact_mut(columns).enumerate() {
                for (j, expected) in expected.iter_mut().enumerate() {
                    *expected = (0..depth)
                        .map(|k| a[i * depth + k] * b[k * columns + j])
                        .sum();
                }
            }
            let b_transposed: Vec<f32> = (0..depth * columns)
                .map(|i| b[(i % depth) * columns + i / depth])
                .collect();
            let panels = pack(&b, columns, width);
            assert_eq!(panels, pack_transposed(&b_transposed, depth, width));

            let column_stride = rows + 5;
            let mut a_columns = vec![0.0; depth * column_stride];
            for (i, &value) in a.iter().enumerate() {
                a_columns[(i % depth) * column_stride + i / depth] = value;
            }
            let out_stride = columns.next_multiple_of(width);
            for left in [
                Left::Rows {
                    values: &a,
                    stride: depth,
                },
                Left::Columns {
                    values: &a_columns,
                    stride: column_stride,
                },
            ] {
                let mut out = vec![1.0; rows * out_stride];
                for accumulate in [false, true] {
                    arch.dispatch(Product {
                        rows,
                        depth,
                        left,
                        panels: &panels,
                        out: &mut out,
                        out_stride,
                        accumulate,
                    });
                }
                for (row, expected) in out.chunks(out_stride).zip(expected.chunks(columns)) {
                    for (&value, &expected) in row.iter().zip(expected) {
                        assert_eq!(value, 2.0 * expected);
                    }
                }
            }
        }
    }
}
