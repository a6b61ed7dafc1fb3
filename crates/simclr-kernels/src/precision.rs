//! The operand precision of convolutions.

use crate::setting::{Setting, impl_names};

/// Operand precision of the fused form's convolutions. Feature maps, gradients and sums are
/// f32 in either case.
///
/// The default is [`Precision::Single`], unless the environment variable `SIMCLR_PRECISION`
/// (`single` or `bfloat16`) or [`KernelOptions`](crate::KernelOptions) says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// f32, 24 binary digits.
    Single,
    /// The factors of each product rounded to bfloat16, 8 binary digits (nearest, ties to
    /// even), their products added up in f32. [`BFloat16Kernel`](crate::BFloat16Kernel) says what
    /// multiplies them; where that is slower than f32, the first use warns, and
    /// [`Precision::fastest`] tells before.
    ///
    /// A rounded factor is off by at most 2⁻⁹ of itself, so a sum of n products of random
    /// signs is off by about 2⁻⁹ sqrt(2 / 3 / n) of the sum of their magnitudes. For
    /// training and embedding, not where results are compared with f32.
    ///
    /// It applies to outputs and gradients of convolutions with at least 16 input channels and
    /// even numbers of channels: of a ResNet all but the first one. Dense layers stay in single
    /// precision. With [`BFloat16Kernel::Avx512Bf16`](crate::BFloat16Kernel::Avx512Bf16) 3x3
    /// convolutions of stride 1 are computed in Winograd's form, unless the
    /// [`ConvolutionMethod`](crate::ConvolutionMethod) is the direct one: what is rounded are sums
    /// of four numbers, and the error is up to 5/3 of that of the direct form.
    BFloat16,
}

pub(crate) static PRECISION: Setting<Precision> = Setting::new(
    "SIMCLR_PRECISION",
    &[
        ("single", Precision::Single),
        ("bfloat16", Precision::BFloat16),
    ],
);

impl_names!(Precision, PRECISION);
