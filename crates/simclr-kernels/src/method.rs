//! How convolutions are computed.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::{Error, Result};

const VARIABLE: &str = "SIMCLR_CONVOLUTION";

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

/// 0: nothing chosen, 1: fastest, 2: direct.
static CHOSEN: AtomicU8 = AtomicU8::new(0);

/// What the environment says; a name that is none as the error.
fn default_method() -> &'static Result<ConvolutionMethod, String> {
    static DEFAULT: OnceLock<Result<ConvolutionMethod, String>> = OnceLock::new();
    DEFAULT.get_or_init(|| match std::env::var(VARIABLE).as_deref() {
        Err(_) | Ok("fastest") => Ok(ConvolutionMethod::Fastest),
        Ok("direct") => Ok(ConvolutionMethod::Direct),
        Ok(other) => Err(other.to_owned()),
    })
}

impl ConvolutionMethod {
    /// The method in use.
    pub fn current() -> Self {
        match CHOSEN.load(Ordering::Relaxed) {
            1 => Self::Fastest,
            2 => Self::Direct,
            _ => match default_method() {
                Ok(method) => *method,
                Err(_) => Self::Fastest,
            },
        }
    }

    /// Every feature map begins with this, so that no convolution goes by a misspelt name.
    pub(crate) fn check_environment() -> Result<()> {
        match default_method() {
            Ok(_) => Ok(()),
            Err(name) => Err(Error::setting(VARIABLE, "`fastest` or `direct`", name)),
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
