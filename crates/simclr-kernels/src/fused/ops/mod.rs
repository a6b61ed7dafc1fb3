//! The ops on feature maps, each with its backward pass.

mod batch_norm;
mod convolution;
mod pooling;
mod relu;
mod section;

pub(crate) use batch_norm::{affine_channels, batch_norm_training};
pub(crate) use convolution::{batch_norm_relu_conv2d, conv2d, conv2d_affine};
pub(crate) use pooling::{average_pool2d, global_average_pool, max_pool2d};
pub(crate) use relu::relu;
pub(crate) use section::{inside_error, recomputed};
