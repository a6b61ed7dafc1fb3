//! Loops compiled several times, for the vector instructions of the processor that
//! runs them.

/// A piece of work made of plain loops.
///
/// It is a type of its own rather than a closure because its `call` can be marked
/// `#[inline(always)]` down to the last loop. The compiler wraps a closure in a
/// function of its own that is compiled once, without the wider instructions.
pub(crate) use pulp::NullaryFnOnce as Kernel;

/// Runs the kernel in the version for this processor, chosen at run time.
pub(crate) fn vectorized<K: Kernel>(kernel: K) -> K::Output {
    pulp::Arch::new().dispatch(kernel)
}
