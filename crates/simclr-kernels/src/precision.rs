//! The precision of convolutions and feature maps.

use crate::setting::{Setting, impl_names};
use crate::simd::{SIDE, Split};

/// Precision of the factors of convolutions, and of feature maps, where tensors are f32. Sums are
/// always f32.
///
/// The default is [`Precision::Single`], unless the environment variable `SIMCLR_PRECISION`
/// (`single`, `bfloat16x3`, `bfloat16x6`, `bfloat16` or `mixed`) or
/// [`KernelOptions`](crate::KernelOptions) says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// f32, 24 binary digits.
    Single,
    /// f32, but each factor of a product is the sum of two bfloat16 numbers, 16 binary digits or more,
    /// and three of their four products are added up in f32 (as PyTorch documents its matmul precision
    /// "high"): for AMX, which multiplies bfloat16 numbers many times as fast as the processor
    /// multiplies f32. Maps, gradients and sums are f32.
    ///
    /// A product is off by at most 3/2¹⁸ of itself: 1/300 of what rounding to bfloat16 costs, forty
    /// times what f32 does. Infinite numbers become NaN.
    ///
    /// It applies to outputs and gradients of convolutions whose numbers of channels are multiples of
    /// 32, but for 3x3 convolutions of stride 1: Winograd's form multiplies less, and is computed in
    /// single precision (the [`ConvolutionMethod`](crate::ConvolutionMethod) decides). Everything else
    /// is computed in single precision too, and so is the composite form. What multiplies is
    /// [`BFloat16Kernel::Amx`](crate::BFloat16Kernel::Amx) or, for tests on other processors, its twin.
    BFloat16x3,
    /// As `BFloat16x3` with three bfloat16 numbers, whose sum is the factor, and six products: as
    /// exact as single precision, and twice as much work.
    BFloat16x6,
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
    /// even numbers of channels, and with fewer input channels where windows are two pixels apart, as in
    /// the first convolution of a ResNet (whose gradient for the image stays f32). Dense layers stay
    /// in single precision. With [`BFloat16Kernel::Avx512Bf16`](crate::BFloat16Kernel::Avx512Bf16) 3x3
    /// convolutions of stride 1 are computed in Winograd's form, unless the
    /// [`ConvolutionMethod`](crate::ConvolutionMethod) is the direct one: what is rounded are sums
    /// of four numbers, and the error is up to 5/3 of that of the direct form.
    BFloat16,
    /// As `BFloat16`, and the results of convolutions with an even number of output channels are
    /// rounded to bfloat16, and so is what is computed from them channel by channel, and the
    /// gradients of all of these: half the memory, and half of what passes through it. Statistics
    /// of batch norm (of what was not rounded yet), sums, parameters and their gradients are f32, and
    /// so are means over whole maps and dense layers.
    ///
    /// The composite form, which GPUs compute, takes statistics of the rounded numbers, and rounds
    /// the gradients of kernels too, as PyTorch's autocast does.
    Mixed,
}

pub(crate) static PRECISION: Setting<Precision> = Setting::new(
    "precision",
    "SIMCLR_PRECISION",
    &[
        ("single", Precision::Single),
        ("bfloat16x3", Precision::BFloat16x3),
        ("bfloat16x6", Precision::BFloat16x6),
        ("bfloat16", Precision::BFloat16),
        ("mixed", Precision::Mixed),
    ],
);

/// Maps with fewer channels are multiplied in windows' rows, not in pixels.
pub(crate) const FEWEST_CHANNELS: usize = 16;

impl Precision {
    /// The bytes that a number of a feature map takes.
    pub fn map_number_size(self) -> usize {
        match self {
            Self::Mixed => size_of::<f32>() / 2,
            _ => size_of::<f32>(),
        }
    }

    /// Whether the factors of a convolution with so many channels are rounded, whose windows are so
    /// far apart in a row. No channel may be left alone in either pass; maps with few channels, as
    /// images are, have two pixels for each step of two.
    pub(crate) fn has_bfloat16_factors(self, inputs: usize, outputs: usize, stride: usize) -> bool {
        let paired = if inputs < FEWEST_CHANNELS {
            stride == 2
        } else {
            inputs.is_multiple_of(2)
        };
        let rounded = matches!(self, Self::BFloat16 | Self::Mixed);
        rounded && paired && outputs.is_multiple_of(2)
    }

    /// How factors are split, if they are.
    pub(crate) fn split(self) -> Option<Split> {
        match self {
            Self::BFloat16x3 => Some(Split::Two),
            Self::BFloat16x6 => Some(Split::Three),
            Self::Single | Self::BFloat16 | Self::Mixed => None,
        }
    }

    /// Whether the factors of a convolution with so many channels are split.
    pub(crate) fn has_split_factors(self, inputs: usize, outputs: usize) -> bool {
        let whole_steps = |channels: usize| channels.is_multiple_of(SIDE);
        self.split().is_some() && whole_steps(inputs) && whole_steps(outputs)
    }

    /// Whether the results of a convolution with so many output channels are rounded.
    pub(crate) fn has_bfloat16_results(self, outputs: usize) -> bool {
        self == Self::Mixed && outputs.is_multiple_of(2)
    }
}

impl_names!(Precision, PRECISION);
