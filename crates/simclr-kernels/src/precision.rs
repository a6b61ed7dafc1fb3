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
    /// even), their products added up in f32: twice the speed of f32 in the inner loops of
    /// processors with AVX512-BF16.
    ///
    /// A rounded factor is off by at most 2⁻⁹ of itself, so a sum of n products of random
    /// signs is off by about 2⁻⁹ sqrt(2 / 3 / n) of the sum of their magnitudes. For
    /// training and embedding, not where results are compared with f32.
    ///
    /// It applies to outputs and input gradients of convolutions with at least 16 input
    /// channels and even numbers of channels, which are then computed directly: of a ResNet
    /// all but the first one. Kernel gradients, whose operands would have to be rearranged
    /// for it, and dense layers stay in single precision.
    BFloat16,
}

pub(crate) const VARIABLE: &str = "SIMCLR_PRECISION";

pub(crate) static PRECISION: Setting<Precision> = Setting::new(
    VARIABLE,
    &[
        ("single", Precision::Single),
        ("bfloat16", Precision::BFloat16),
    ],
);

impl_names!(Precision, PRECISION);

impl Precision {
    /// The f32 elements that so many operands occupy; of bfloat16 there are two in each.
    #[inline(always)]
    pub(crate) fn places(self, numbers: usize) -> usize {
        match self {
            Self::Single => numbers,
            Self::BFloat16 => numbers.div_ceil(2),
        }
    }
}
