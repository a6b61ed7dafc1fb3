//! Loads and stores of one vector, or of several at equal distances.

use pulp::Simd;

/// # Safety
/// `from` points to LANES numbers.
#[inline(always)]
pub(super) unsafe fn load<S: Simd>(from: *const f32) -> S::f32s {
    // SAFETY: vectors are plain data; the read is unaligned.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

/// # Safety
/// `to` points to room for LANES numbers.
#[inline(always)]
pub(super) unsafe fn store<S: Simd>(to: *mut f32, value: S::f32s) {
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

/// The vectors at `first`, `first + stride` and so on.
///
/// # Panics
/// If the last of them does not lie in the slice.
#[inline(always)]
pub(crate) fn load_strided<S: Simd, const N: usize>(
    values: &[f32],
    first: usize,
    stride: usize,
) -> [S::f32s; N] {
    assert!(N > 0 && end_of::<S>(N, first, stride) <= values.len());
    // A closure, as `std::array::from_fn` takes one, is not always inlined.
    // SAFETY: all of them end where the last one does, or before.
    let at = |index: usize| unsafe { load::<S>(values.as_ptr().add(first + index * stride)) };
    let mut vectors = [at(0); N];
    for (index, vector) in vectors.iter_mut().enumerate().skip(1) {
        *vector = at(index);
    }
    vectors
}

/// Writes vectors to `first`, `first + stride` and so on.
///
/// # Panics
/// If there is no room for the last of them.
#[inline(always)]
pub(crate) fn store_strided<S: Simd>(
    target: &mut [f32],
    first: usize,
    stride: usize,
    vectors: &[S::f32s],
) {
    assert!(end_of::<S>(vectors.len(), first, stride) <= target.len());
    for (index, &vector) in vectors.iter().enumerate() {
        // SAFETY: all of them end where the last one does, or before.
        unsafe { store::<S>(target.as_mut_ptr().add(first + index * stride), vector) };
    }
}

/// Where the last of so many vectors ends; at most the greatest number.
#[inline(always)]
fn end_of<S: Simd>(count: usize, first: usize, stride: usize) -> usize {
    let last = stride.saturating_mul(count.saturating_sub(1));
    last.saturating_add(first).saturating_add(S::F32_LANES)
}

#[cfg(test)]
mod tests {
    use pulp::Scalar;

    use super::*;

    #[test]
    fn vectors_at_equal_distances_are_those_one_by_one() {
        let mut numbers = [0.0; 8];
        store_strided::<Scalar>(&mut numbers, 1, 3, &[1.0, 2.0, 3.0]);
        assert_eq!(numbers, [0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 3.0]);
        assert_eq!(load_strided::<Scalar, 3>(&numbers, 1, 3), [1.0, 2.0, 3.0]);
    }

    #[test]
    #[should_panic]
    fn the_last_one_has_to_lie_inside() {
        load_strided::<Scalar, 3>(&[0.0; 8], 2, 3);
    }

    #[test]
    #[should_panic]
    fn a_distance_beyond_all_numbers_is_no_way_around() {
        store_strided::<Scalar>(&mut [0.0; 8], 1, usize::MAX, &[0.0; 2]);
    }
}
