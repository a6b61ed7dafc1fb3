//! The only module with `unsafe` code: safe doors to code that is compiled for
//! the processor at hand and chosen at run time.
#![allow(unsafe_code)]

mod gemm;

pub use gemm::{MatrixMut, MatrixRef, gemm};
