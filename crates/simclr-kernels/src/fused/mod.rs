//! Every op with its own forward and backward pass on feature maps: f32, or bfloat16 in mixed
//! precision, on the CPU.

mod affine;
mod affine_gradient;
mod chunks;
mod convolution;
mod elementwise;
mod map;
mod map_buffer;
mod ops;
mod pooling;
mod saved;
mod stats;
mod values;

pub(crate) use map::Map;
pub(crate) use ops::{
    affine_channels, average_pool2d, batch_norm_relu_conv2d, batch_norm_training, checkpoint,
    conv2d, conv2d_affine, global_average_pool, max_pool2d, relu,
};
