//! Every op as one candle op with its own forward and backward pass: f32 on the CPU.

mod channels;
mod convolution;
mod ops;
mod pooling;

pub(crate) use ops::{
    affine_channels, average_pool2d, batch_norm_training, conv2d, dense, global_average_pool,
    max_pool2d, relu,
};
