//! The algorithm of convolutions.

use crate::setting::{Setting, impl_names};

/// How the fused form computes convolutions.
///
/// The default is [`ConvolutionMethod::Fastest`], unless the environment variable
/// `SIMCLR_CONVOLUTION` (`fastest` or `direct`; anything else is an error) or
/// [`KernelOptions`](crate::KernelOptions) says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConvolutionMethod {
    /// Winograd's F(4x4, 3x3) or F(2x2, 3x3) for kernels of 3x3 with stride 1, where there are enough
    /// channels to gain by it; directly otherwise. Which one depends on the shapes, the batch
    /// included, and on nothing else.
    ///
    /// Its rounding errors are somewhat larger than those of the direct sum; the tests hold
    /// outputs and gradients of all of them to 2e-5 of their largest value.
    Fastest,
    /// As the sum that defines the convolution.
    Direct,
}

pub(crate) static METHOD: Setting<ConvolutionMethod> = Setting::new(
    "convolution method",
    "SIMCLR_CONVOLUTION",
    &[
        ("fastest", ConvolutionMethod::Fastest),
        ("direct", ConvolutionMethod::Direct),
    ],
);

impl_names!(ConvolutionMethod, METHOD);
