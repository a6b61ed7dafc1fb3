//! Prefetching.

/// Prefetches values into the second-level cache. Does nothing where there is no such
/// instruction.
#[inline(always)]
pub(crate) fn prefetch(values: &[f32]) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        /// Elements of a cache line.
        const LINE: usize = 16;
        for line in values.chunks(LINE) {
            // SAFETY: a prefetch reads nothing and cannot fault; the pointer is valid anyway.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
        }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = values;
}
