//! Every op as one candle op with its own forward and backward pass: f32 on the CPU.

mod channels;
mod convolution;
mod ops;
mod pooling;

pub(crate) use channels::Moments;
pub(crate) use ops::{
    affine_channels, average_pool2d, batch_norm_relu_conv2d, batch_norm_training, conv2d,
    conv2d_affine, conv2d_with_moments, dense, global_average_pool, max_pool2d, relu,
};
