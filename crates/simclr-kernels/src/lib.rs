//! CPU kernels for convolutional networks as differentiable candle ops, with a
//! composite path for other devices.
//!
//! ```
//! use candle_core::{Device, Tensor, Var};
//! use simclr_kernels::{Activation, Conv2dConfig, batch_norm_training, conv2d};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let images = Tensor::rand(0f32, 1f32, (2, 8, 8, 3), &Device::Cpu)?;
//! let kernel = Var::rand(-0.3f32, 0.3f32, (3, 3, 3, 16), &Device::Cpu)?;
//! let gamma = Var::ones(16, candle_core::DType::F32, &Device::Cpu)?;
//! let beta = Var::zeros(16, candle_core::DType::F32, &Device::Cpu)?;
//!
//! let maps = conv2d(&images, &kernel, Conv2dConfig::original(3, 2))?;
//! let normalised = batch_norm_training(&maps, &gamma, &beta, 1e-5, Activation::Relu, None)?;
//! assert_eq!(normalised.output.dims(), [2, 4, 4, 16]);
//!
//! let gradients = normalised.output.sqr()?.mean_all()?.backward()?;
//! assert_eq!(gradients.get(&kernel).map(|g| g.dims().to_vec()), Some(vec![3, 3, 3, 16]));
//! # Ok(())
//! # }
//! ```
//!
//! Where ops follow each other, [`FeatureMap`] chains them without a tensor in between.
//!
//! Feature maps are `[n, h, w, c]`, convolution kernels `[kernel_h, kernel_w, in, out]`.
//!
//! Every op exists twice: **fused**, as one candle op with its own forward and
//! backward pass (f32 on the CPU), and **composite**, made of stock candle ops (any
//! device, any float type). The plain functions choose by device and type;
//! [`Backend`] names one explicitly. A gradient that nobody needs (of images, of
//! frozen parameters) is not computed. Sums are cut by the problem's size and added
//! in a fixed order, so the number of threads changes no result.

mod composite;
mod error;
mod fused;
mod geometry;
mod gradients;
mod map;
mod memory;
mod method;
mod ops;
mod precision;
mod setting;
mod simd;

pub use error::{Error, Result};
pub use geometry::{Conv2dConfig, Padding};
pub use gradients::{backward, recycle};
pub use map::{BatchNormParameters, BatchStats, FeatureMap};
pub use method::ConvolutionMethod;
pub use ops::{
    Activation, Backend, BatchNormTraining, DivisorRule, average_pool2d, batch_norm_inference,
    batch_norm_training, conv2d, dense, global_average_pool, max_pool2d, relu,
};
pub use precision::Precision;
pub use simd::SimdLevel;
