//! Loads and stores of one vector.

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
