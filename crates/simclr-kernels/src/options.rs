//! Options of the fused kernels, and where they apply.

use std::cell::Cell;

use crate::Result;
use crate::bfloat16_kernel::{BFLOAT16_KERNEL, BFloat16Kernel, warn_if_slow};
use crate::convolution_method::{ConvolutionMethod, METHOD};
use crate::precision::{PRECISION, Precision};
use crate::simd::{Operands, SIMD_LEVEL, SimdLevel};

/// How the fused kernels compute, within a [scope](Self::scope).
///
/// A field that is `None` (the default) comes from the enclosing scope, or else from the
/// environment variable that the field's type names, or else is that type's default.
///
/// The options in force when a [`FeatureMap`](crate::FeatureMap) is made from a tensor hold
/// for all ops on it and for the backward passes of these, wherever those run. Scopes belong
/// to a thread, so two models in one process can use different options.
///
/// ```
/// use simclr_kernels::candle_core::{Device, Tensor};
/// use simclr_kernels::{Conv2dConfig, ConvolutionMethod, KernelOptions, conv2d};
///
/// let x = Tensor::rand(0f32, 1f32, (1, 8, 8, 32), &Device::Cpu)?;
/// let kernel = Tensor::rand(-1f32, 1f32, (3, 3, 32, 32), &Device::Cpu)?;
/// let options = KernelOptions::default().with_convolution_method(ConvolutionMethod::Direct);
/// let y = options.scope(|| conv2d(&x, &kernel, Conv2dConfig::same()))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct KernelOptions {
    /// The instruction set.
    pub simd_level: Option<SimdLevel>,
    /// The precision of convolutions and feature maps.
    pub precision: Option<Precision>,
    /// What multiplies bfloat16 numbers.
    pub bfloat16_kernel: Option<BFloat16Kernel>,
    /// The algorithm of convolutions.
    pub convolution_method: Option<ConvolutionMethod>,
}

thread_local! {
    static SCOPE: Cell<KernelOptions> = const {
        Cell::new(KernelOptions {
            simd_level: None,
            precision: None,
            bfloat16_kernel: None,
            convolution_method: None,
        })
    };
}

/// Puts the enclosing scope's options back, also after a panic.
struct Restore(KernelOptions);

impl Drop for Restore {
    fn drop(&mut self) {
        SCOPE.set(self.0);
    }
}

impl KernelOptions {
    /// Sets the instruction set.
    #[must_use]
    pub fn with_simd_level(mut self, level: SimdLevel) -> Self {
        self.simd_level = Some(level);
        self
    }

    /// Sets the precision of convolutions and feature maps.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.precision = Some(precision);
        self
    }

    /// Sets what multiplies bfloat16 numbers.
    #[must_use]
    pub fn with_bfloat16_kernel(mut self, kernel: BFloat16Kernel) -> Self {
        self.bfloat16_kernel = Some(kernel);
        self
    }

    /// Sets the algorithm of convolutions.
    #[must_use]
    pub fn with_convolution_method(mut self, method: ConvolutionMethod) -> Self {
        self.convolution_method = Some(method);
        self
    }

    /// The options in force on this thread, every field given.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn current() -> Result<Self> {
        ResolvedOptions::current().map(Self::from)
    }

    /// Checks the options together with those that they leave open. Ops on feature maps
    /// check them too.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the processor lacks the instruction set, or
    /// for bfloat16 numbers what multiplies them, or if the environment variable of an
    /// option that is not given names no value.
    pub fn validate(self) -> Result<()> {
        self.scope(ResolvedOptions::current).map(|_| ())
    }

    /// Runs `work` with these options for the maps that it makes on this thread.
    pub fn scope<R>(self, work: impl FnOnce() -> R) -> R {
        let outer = SCOPE.get();
        let _restore = Restore(outer);
        SCOPE.set(Self {
            simd_level: self.simd_level.or(outer.simd_level),
            precision: self.precision.or(outer.precision),
            bfloat16_kernel: self.bfloat16_kernel.or(outer.bfloat16_kernel),
            convolution_method: self.convolution_method.or(outer.convolution_method),
        });
        work()
    }
}

/// Options without gaps, known to suit the processor and each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResolvedOptions {
    pub(crate) level: SimdLevel,
    pub(crate) precision: Precision,
    pub(crate) bfloat16_kernel: BFloat16Kernel,
    /// The operands of convolutions.
    pub(crate) operands: Operands,
    pub(crate) method: ConvolutionMethod,
}

impl ResolvedOptions {
    /// Runs `work` with these options.
    pub(crate) fn scope<R>(self, work: impl FnOnce() -> R) -> R {
        KernelOptions::from(self).scope(work)
    }

    /// Those in force on this thread.
    pub(crate) fn current() -> Result<Self> {
        let scope = SCOPE.get();
        let level = match scope.simd_level {
            Some(level) => level,
            None => SIMD_LEVEL
                .environment_value()?
                .unwrap_or_else(SimdLevel::best),
        };
        let precision = Precision::in_force()?;
        let bfloat16_kernel = match scope.bfloat16_kernel {
            Some(kernel) => kernel,
            None => BFLOAT16_KERNEL
                .environment_value()?
                .unwrap_or_else(|| BFloat16Kernel::best(level, precision)),
        };
        let method = match scope.convolution_method {
            Some(method) => method,
            None => METHOD
                .environment_value()?
                .unwrap_or(ConvolutionMethod::Fastest),
        };
        level.check_available()?;
        let operands = match precision {
            Precision::Single => Operands::Single,
            _ => {
                warn_if_slow(precision, bfloat16_kernel);
                bfloat16_kernel.operands(level, precision)?
            }
        };
        Ok(Self {
            level,
            precision,
            bfloat16_kernel,
            operands,
            method,
        })
    }
}

impl From<ResolvedOptions> for KernelOptions {
    fn from(resolved: ResolvedOptions) -> Self {
        Self {
            simd_level: Some(resolved.level),
            precision: Some(resolved.precision),
            bfloat16_kernel: Some(resolved.bfloat16_kernel),
            convolution_method: Some(resolved.method),
        }
    }
}

impl SimdLevel {
    /// The instruction set in force on this thread.
    ///
    /// # Errors
    /// As [`KernelOptions::validate`].
    pub fn current() -> Result<Self> {
        ResolvedOptions::current().map(|options| options.level)
    }
}

impl BFloat16Kernel {
    /// What multiplies bfloat16 numbers on this thread, if the precision in force asks for them.
    ///
    /// # Errors
    /// As [`KernelOptions::validate`].
    pub fn current() -> Result<Self> {
        ResolvedOptions::current().map(|options| options.bfloat16_kernel)
    }
}

impl Precision {
    /// The precision in force on this thread, whether the CPU has what it takes or not.
    pub(crate) fn in_force() -> Result<Self> {
        match SCOPE.get().precision {
            Some(precision) => Ok(precision),
            None => Ok(PRECISION.environment_value()?.unwrap_or(Self::Single)),
        }
    }

    /// The precision in force on this thread.
    ///
    /// # Errors
    /// As [`KernelOptions::validate`].
    pub fn current() -> Result<Self> {
        ResolvedOptions::current().map(|options| options.precision)
    }
}
