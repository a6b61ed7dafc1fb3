//! The layers that the models are made of.

mod batch_norm;
mod block;
mod conv;
mod conv_norm;
mod dense;
mod pass;
mod pointwise;
mod selective_kernel;
mod squeeze_excitation;
mod stem;

pub(crate) use batch_norm::{BatchNorm, BatchNormOptions, BatchNormSettings};
pub(crate) use block::{Block, BlockShape};
pub(crate) use conv::{Conv, ConvShape};
pub(crate) use conv_norm::{ConvNorm, Flow};
pub(crate) use dense::Dense;
pub(crate) use pass::Pass;
pub(crate) use selective_kernel::SelectiveKernel;
pub(crate) use squeeze_excitation::SqueezeExcitation;
pub(crate) use stem::{IMAGE_CHANNELS, Stem, StemOutput};
