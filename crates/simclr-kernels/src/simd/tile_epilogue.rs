//! What follows a matrix product while a tile of it is in registers.

use pulp::Simd;

/// What is applied to a tile of a product before it is written.
pub(crate) trait TileEpilogue {
    /// Prefetches what it will read for these rows of the block.
    fn prefetch(&self, rows: &[usize]);

    /// Sees, and may change, what goes into some rows of the block (their numbers in
    /// `rows`, as many as there are `values`), from a column of the panel on.
    fn tile<S: Simd, const VECTORS: usize>(
        &mut self,
        simd: S,
        column: usize,
        values: &mut [[S::f32s; VECTORS]],
        rows: &[usize],
    );
}

/// No epilogue.
impl TileEpilogue for () {
    #[inline(always)]
    fn prefetch(&self, _: &[usize]) {}

    #[inline(always)]
    fn tile<S: Simd, const VECTORS: usize>(
        &mut self,
        _: S,
        _: usize,
        _: &mut [[S::f32s; VECTORS]],
        _: &[usize],
    ) {
    }
}
