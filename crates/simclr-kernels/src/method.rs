//! How convolutions are computed.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// How the fused form computes convolutions.
///
/// The default is [`ConvolutionMethod::Fastest`], unless the environment variable
/// `SIMCLR_CONVOLUTION` is `direct` or [`ConvolutionMethod::choose`] says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConvolutionMethod {
    /// Winograd's F(2x2, 3x3) for kernels of 3x3 with stride 1, where there are enough
    /// channels to gain by it; directly otherwise.
    ///
    /// Its rounding errors are about twice those of the direct sum: of random maps and
    /// kernels with 64 to 512 channels, below 2e-6 of the largest output.
    Fastest,
    /// As the sum that a convolution is.
    Direct,
}

/// 0: nothing chosen, 1: fastest, 2: direct.
static CHOSEN: AtomicU8 = AtomicU8::new(0);

impl ConvolutionMethod {
    /// The method in use.
    pub fn current() -> Self {
        static DEFAULT: OnceLock<ConvolutionMethod> = OnceLock::new();
        match CHOSEN.load(Ordering::Relaxed) {
            1 => Self::Fastest,
            2 => Self::Direct,
            _ => *DEFAULT.get_or_init(|| match std::env::var("SIMCLR_CONVOLUTION") {
                Ok(name) if name == "direct" => Self::Direct,
                _ => Self::Fastest,
            }),
        }
    }

    /// Makes all fused kernels of this process use a method; `None` goes back to the
    /// default. Meant for tests and measurements.
    pub fn choose(method: Option<Self>) {
        let code = match method {
            None => 0,
            Some(Self::Fastest) => 1,
            Some(Self::Direct) => 2,
        };
        CHOSEN.store(code, Ordering::Relaxed);
    }
}
