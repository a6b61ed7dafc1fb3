//! The ops on feature maps, each with its backward pass.

mod batch_norm;
mod checkpoint;
mod convolution;
mod pooling;
mod relu;

pub(crate) use batch_norm::{affine_channels, batch_norm_training};
pub(crate) use checkpoint::checkpoint;
pub(crate) use convolution::{batch_norm_relu_conv2d, conv2d, conv2d_affine};
pub(crate) use pooling::{average_pool2d, global_average_pool, max_pool2d};
pub(crate) use relu::relu;
