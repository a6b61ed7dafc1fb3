//! The microkernel of sums of outer products, which gradients of kernels are made of.

use pulp::Simd;

use super::level::{SimdLevel, WIDEST};
use super::microkernel::Terms;
use super::operands::Operands;
use super::vector::{load, store};

/// Elements of the largest tile at any level: what partial tiles are computed in.
const LARGEST_TILE: usize = FilterTile::MOST_ROWS * WIDEST;

/// Rows of a tile of a sum of outer products.
pub(crate) struct FilterTile;

impl FilterTile {
    /// The rows of the largest tile.
    pub(crate) const MOST_ROWS: usize = 12;

    /// How many rows the left panels of [`add_outer_products`](super::add_outer_products) have, if about `size` rows
    /// are to be cut into panels: the most, unless too much of the last one stays empty.
    pub(crate) fn rows(level: SimdLevel, size: usize) -> usize {
        match level {
            SimdLevel::Avx512 if 16 * size.next_multiple_of(12) <= 17 * size => 12,
            SimdLevel::Avx512 => 8,
            SimdLevel::Avx2 | SimdLevel::Neon | SimdLevel::Portable => 6,
        }
    }
}

/// The operands of a sum of outer products over some pixels, or pairs of pixels.
#[derive(Clone, Copy)]
pub(crate) struct OuterProducts<'a> {
    /// What the numbers are; not in tiles.
    pub(crate) operands: Operands,
    /// How many pixels or pairs.
    pub(crate) count: usize,
    /// The first pixel's left numbers; those of the next one lie `left_stride` further on.
    pub(crate) left: &'a [f32],
    pub(crate) left_stride: usize,
    /// How many of the left numbers make a tile, see [`FilterTile`].
    pub(crate) tile_rows: usize,
    /// `[count, tile columns]`.
    pub(crate) right: &'a [f32],
}

/// As [`add_outer_products`](super::add_outer_products), for one size of tiles.
#[inline(always)]
pub(super) fn add_tile<S: Simd, T: Terms<S>, const ROWS: usize, const VECTORS: usize>(
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
                    *sum = T::add(simd, factor, value, *sum);
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
