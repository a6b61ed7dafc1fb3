//! Matrix products on slices, for crates that build their own fused ops.

pub use crate::simd::{MatrixMut, MatrixRef, gemm};
