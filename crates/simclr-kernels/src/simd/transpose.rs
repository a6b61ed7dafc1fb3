//! Transposing small matrices.

/// Rows and columns that are turned at once.
const TILE: usize = 8;

/// `to[column][row] = from[row][column]`; both sizes are multiples of 8.
#[inline(always)]
pub(crate) fn transpose<const ROWS: usize, const COLUMNS: usize>(
    from: &[[f32; COLUMNS]],
    to: &mut [[f32; ROWS]],
) {
    assert!(from.len() == ROWS && to.len() == COLUMNS);
    transpose_strided(from.as_flattened(), COLUMNS, to);
}

/// As [`transpose`], for the `to.len()` numbers at the front of each of ROWS rows that lie `stride`
/// apart.
#[inline(always)]
pub(crate) fn transpose_strided<const ROWS: usize>(
    from: &[f32],
    stride: usize,
    to: &mut [[f32; ROWS]],
) {
    let columns = to.len();
    assert!(ROWS.is_multiple_of(TILE) && columns.is_multiple_of(TILE));
    assert!(columns <= stride && from.len() >= (ROWS - 1) * stride + columns);
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        for row in (0..ROWS).step_by(TILE) {
            for column in (0..columns).step_by(TILE) {
                // SAFETY: the processor has AVX2; eight rows of eight numbers lie in `from`, and
                // eight in `to`, from these places on.
                unsafe {
                    let from = from.as_ptr().add(row * stride + column);
                    let to = to.as_mut_ptr().cast::<f32>().add(column * ROWS + row);
                    avx2::transpose_tile(from, stride, to, ROWS);
                }
            }
        }
        return;
    }
    for (row, from) in from.chunks(stride).take(ROWS).enumerate() {
        for (to, &value) in to.iter_mut().zip(from) {
            to[row] = value;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256, _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_shuffle_ps, _mm256_storeu_ps,
        _mm256_unpackhi_ps, _mm256_unpacklo_ps,
    };

    use super::TILE;

    /// Transposes 8 x 8 numbers between rows that lie `from_stride` and `to_stride` apart.
    ///
    /// # Safety
    /// The processor has AVX2; eight numbers can be read from each row of `from`, and written
    /// to each row of `to`, which do not overlap.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn transpose_tile(
        from: *const f32,
        from_stride: usize,
        to: *mut f32,
        to_stride: usize,
    ) {
        // SAFETY: the caller's.
        let row = |row: usize| unsafe { _mm256_loadu_ps(from.add(row * from_stride)) };
        let rows: [__m256; TILE] = [
            row(0),
            row(1),
            row(2),
            row(3),
            row(4),
            row(5),
            row(6),
            row(7),
        ];
        // Within pairs of rows, then within fours, then across the halves.
        let two = |first: usize| {
            let (a, b) = (rows[first], rows[first + 1]);
            (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b))
        };
        let four = |first: usize| {
            let ((a, b), (c, d)) = (two(first), two(first + 2));
            [
                _mm256_shuffle_ps::<0x44>(a, c),
                _mm256_shuffle_ps::<0xee>(a, c),
                _mm256_shuffle_ps::<0x44>(b, d),
                _mm256_shuffle_ps::<0xee>(b, d),
            ]
        };
        let (upper, lower) = (four(0), four(4));
        for (index, (&upper, &lower)) in upper.iter().zip(&lower).enumerate() {
            // SAFETY: the caller's.
            unsafe {
                let first = to.add(index * to_stride);
                let second = to.add((index + 4) * to_stride);
                _mm256_storeu_ps(first, _mm256_permute2f128_ps::<0x20>(upper, lower));
                _mm256_storeu_ps(second, _mm256_permute2f128_ps::<0x31>(upper, lower));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_goes_to_its_place() {
        let from: [[f32; 32]; 16] =
            std::array::from_fn(|row| std::array::from_fn(|column| (100 * row + column) as f32));
        let mut to = [[f32::NAN; 16]; 32];
        transpose::<16, 32>(&from, &mut to);
        for (column, line) in to.iter().enumerate() {
            for (row, &value) in line.iter().enumerate() {
                assert_eq!(value, (100 * row + column) as f32);
            }
        }
    }

    #[test]
    fn rows_may_lie_apart() {
        let from: Vec<f32> = (0..16 * 37).map(|index| index as f32).collect();
        let mut to = [[f32::NAN; 16]; 24];
        transpose_strided(&from[3..], 37, &mut to);
        for (column, line) in to.iter().enumerate() {
            for (row, &value) in line.iter().enumerate() {
                assert_eq!(value, (37 * row + 3 + column) as f32);
            }
        }
    }
}
