//! How much convolutions have computed.

use std::sync::atomic::{AtomicU64, Ordering};

static OPERATIONS: AtomicU64 = AtomicU64::new(0);

/// The floating-point operations of all convolutions of the fused form in this process so far,
/// gradients included: two per multiply-add of the direct sum, whatever the algorithm.
///
/// The difference between two calls, divided by the time, is the speed of what ran in between.
pub fn convolution_operations() -> u64 {
    OPERATIONS.load(Ordering::Relaxed)
}

pub(crate) fn count_operations(operations: u64) {
    OPERATIONS.fetch_add(operations, Ordering::Relaxed);
}
