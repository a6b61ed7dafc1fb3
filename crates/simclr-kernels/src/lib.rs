#![doc = include_str!("../README.md")]
//!
//! # Two forms of every op
//!
//! Every op exists twice: **fused**, as one candle op with its own forward and backward pass
//! (f32 on the CPU), and **composite**, made of stock candle ops (any device; f16, bf16, f32 or
//! f64). The plain functions choose by device and type; [`Backend`] names one explicitly. A
//! gradient that nobody needs (of images, of frozen parameters) is not computed. Sums are cut by
//! the problem's size and added in a fixed order, so the number of threads changes no result.
//!
//! Where ops follow each other, [`FeatureMap`] chains them without a tensor in between.

mod activation;
mod backend;
mod batch_norm;
mod bfloat16_kernel;
mod composite;
mod convolution_method;
#[cfg(feature = "cudnn")]
mod cudnn;
mod error;
mod fused;
mod geometry;
mod global_batch_norm;
mod gradients;
mod map;
mod memory;
mod operations;
mod ops;
mod options;
mod precision;
mod setting;
mod simd;
mod tuning;

pub use activation::Activation;
pub use backend::Backend;
pub use batch_norm::{BatchNormParameters, BatchStats};
pub use bfloat16_kernel::BFloat16Kernel;
pub use candle_core;
pub use convolution_method::ConvolutionMethod;
pub use error::{Error, Result};
pub use geometry::{Conv2dConfig, DivisorRule, Padding};
pub use global_batch_norm::with_global_batch_norm;
pub use gradients::{backward, backward_sending, recycle};
pub use map::FeatureMap;
pub use memory::release_memory;
pub use operations::convolution_operations;
pub use ops::{
    average_pool2d, batch_norm_inference, batch_norm_training, conv2d, dense, global_average_pool,
    max_pool2d, relu,
};
pub use options::KernelOptions;
pub use precision::Precision;
pub use simd::SimdLevel;
pub use tuning::{MeasuredPrecision, measure_precisions, microkernel_gflops};
