//! With how many digits convolutions multiply.

use std::fmt;

use crate::setting::Setting;
use crate::simd::has_bfloat16;
use crate::{Error, Result, SimdLevel};

const VARIABLE: &str = "SIMCLR_PRECISION";

/// The numbers that the fused form's convolutions multiply; maps, gradients and sums are
/// f32 at either.
///
/// The default is [`Precision::Single`], unless the environment variable `SIMCLR_PRECISION`
/// (`single` or `bfloat16`) or [`Precision::choose`] says otherwise.
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
    /// Outputs and input's gradients are computed so, of convolutions with at least 16 input
    /// channels and even numbers of channels: of a ResNet all but the first, and then
    /// directly. Kernels' gradients, whose operands would have to be rearranged for it, and
    /// dense layers stay in single precision.
    BFloat16,
}

static PRECISION: Setting<Precision> = Setting::new(
    VARIABLE,
    &[
        ("single", Precision::Single),
        ("bfloat16", Precision::BFloat16),
    ],
);

impl Precision {
    /// The precision in use.
    ///
    /// # Errors
    /// [`Error::Setting`] if `SIMCLR_PRECISION` names none, or `bfloat16` and the
    /// instructions in use ([`SimdLevel::current`]) have none for it. The portable ones
    /// compute the same slowly.
    pub fn current() -> Result<Self> {
        Self::at(SimdLevel::current()?)
    }

    /// The precision in use on a level.
    pub(crate) fn at(level: SimdLevel) -> Result<Self> {
        let precision = PRECISION.current()?;
        if precision == Self::BFloat16 && !has_bfloat16(level) {
            let expected = format!("`single` with {level} instructions on this processor");
            return Err(Error::setting(VARIABLE, expected, "bfloat16"));
        }
        Ok(precision)
    }

    /// Makes all fused kernels of this process use a precision; `None` goes back to the
    /// default.
    pub fn choose(precision: Option<Self>) {
        PRECISION.choose(precision);
    }

    /// Places of f32 that so many numbers take; of bfloat16 there are two in each.
    #[inline(always)]
    pub(crate) fn places(self, numbers: usize) -> usize {
        match self {
            Self::Single => numbers,
            Self::BFloat16 => numbers.div_ceil(2),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PRECISION.name(*self))
    }
}
