//! How convolutions are computed.

use crate::Result;
use crate::setting::Setting;

/// How the fused form computes convolutions.
///
/// The default is [`ConvolutionMethod::Fastest`], unless the environment variable
/// `SIMCLR_CONVOLUTION` (`fastest` or `direct`; anything else is an error) or
/// [`ConvolutionMethod::choose`] says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConvolutionMethod {
    /// Winograd's F(2x2, 3x3) for kernels of 3x3 with stride 1, where there are enough
    /// channels to gain by it; directly otherwise.
    ///
    /// Its rounding errors are somewhat larger than those of the direct sum; the tests hold
    /// outputs and gradients of both to 2e-5 of their largest value.
    Fastest,
    /// As the sum that a convolution is.
    Direct,
}

static METHOD: Setting<ConvolutionMethod> = Setting::new(
    "SIMCLR_CONVOLUTION",
    &[
        ("fastest", ConvolutionMethod::Fastest),
        ("direct", ConvolutionMethod::Direct),
    ],
);

impl ConvolutionMethod {
    /// The method in use.
    pub fn current() -> Self {
        // Every feature map begins with `check_environment`.
        METHOD.current().unwrap_or(Self::Fastest)
    }

    /// Every feature map begins with this, so that no convolution goes by a misspelt name.
    pub(crate) fn check_environment() -> Result<()> {
        METHOD.current().map(|_| ())
    }

    /// Makes all fused kernels of this process use a method; `None` goes back to the
    /// default. Meant for tests and measurements.
    pub fn choose(method: Option<Self>) {
        METHOD.choose(method);
    }
}
