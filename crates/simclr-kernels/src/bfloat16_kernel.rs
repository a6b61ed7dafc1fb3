//! What multiplies bfloat16 numbers.

use std::sync::Once;

use crate::setting::{Setting, impl_names};
use crate::simd::{Amx, Operands, SimdLevel, TileUnit, has_avx512_bf16, is_intel};
use crate::{Error, Precision, Result};

/// What multiplies the numbers of [`Precision::BFloat16`], [`Precision::Mixed`],
/// [`Precision::BFloat16x3`] and [`Precision::BFloat16x6`].
///
/// The default is the first of these that the processor has at the
/// [`SimdLevel`] in force, unless the environment variable `SIMCLR_BFLOAT16` (`amx`,
/// `avx512bf16` or `portable`) or [`KernelOptions`](crate::KernelOptions) names another. At
/// [`SimdLevel::Portable`] it is [`BFloat16Kernel::Portable`]. The last two precisions are computed in
/// tiles, by AMX or its twin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BFloat16Kernel {
    /// Tiles of AMX, with Linux on Intel's servers since Sapphire Rapids.
    Amx,
    /// Products of pairs by AVX512-BF16, at [`SimdLevel::Avx512`]; at [`SimdLevel::Portable`]
    /// their twin in f32 arithmetic.
    Avx512Bf16,
    /// The twin of [`BFloat16Kernel::Amx`] in f32 arithmetic, on any processor: the same sums in
    /// the same order, at about the speed of f32.
    Portable,
}

const VARIABLE: &str = "SIMCLR_BFLOAT16";

pub(crate) static BFLOAT16_KERNEL: Setting<BFloat16Kernel> = Setting::new(
    "bfloat16 kernel",
    VARIABLE,
    &[
        ("amx", BFloat16Kernel::Amx),
        ("avx512bf16", BFloat16Kernel::Avx512Bf16),
        ("portable", BFloat16Kernel::Portable),
    ],
);

impl_names!(BFloat16Kernel, BFLOAT16_KERNEL);

impl BFloat16Kernel {
    /// Whether convolutions are faster with it than in single precision. Measured for AVX512-BF16:
    /// on AMD's Zen 5 training and embedding are 1.25 to 1.65 times as fast in mixed precision, on
    /// Intel's Sapphire Rapids they had 0.5 to 0.8 times the speed with bfloat16 factors alone, since
    /// its rate there is half that of f32. The portable kernel does in f32 arithmetic what single
    /// precision does in half as many instructions. Of AMX it follows from the rate of the
    /// instructions.
    pub fn pays(self) -> bool {
        match self {
            Self::Amx => true,
            Self::Avx512Bf16 => !is_intel(),
            Self::Portable => false,
        }
    }

    /// The first one that the processor has.
    pub(crate) fn best(level: SimdLevel, precision: Precision) -> Self {
        let in_registers = level == SimdLevel::Avx512 && precision.split().is_none();
        if level == SimdLevel::Portable {
            Self::Portable
        } else if Amx::detect().is_ok() {
            Self::Amx
        } else if in_registers && has_avx512_bf16() {
            Self::Avx512Bf16
        } else {
            Self::Portable
        }
    }

    /// The operands that it multiplies.
    ///
    /// # Errors
    /// [`Error::Setting`] if the processor or the level lacks it, or if it does not serve the
    /// precision.
    pub(crate) fn operands(self, level: SimdLevel, precision: Precision) -> Result<Operands> {
        let in_tiles = |unit| {
            Ok(match precision.split() {
                Some(split) => Operands::SplitTiles(unit, split),
                None => Operands::Tiles(unit),
            })
        };
        let missing = match (self, level) {
            (Self::Portable, _) => return in_tiles(TileUnit::Portable),
            (Self::Amx, _) => match Amx::detect() {
                Ok(amx) => return in_tiles(TileUnit::Amx(amx)),
                Err(missing) => missing,
            },
            (Self::Avx512Bf16, _) if precision.split().is_some() => {
                "numbers are split for tiles alone"
            }
            (Self::Avx512Bf16, SimdLevel::Portable) => return Ok(Operands::Pairs),
            (Self::Avx512Bf16, SimdLevel::Avx512) if has_avx512_bf16() => {
                return Ok(Operands::Pairs);
            }
            (Self::Avx512Bf16, SimdLevel::Avx512) => "the processor has no AVX512-BF16",
            (Self::Avx512Bf16, _) => "AVX512-BF16 needs the instruction set avx512",
        };
        let expected = format!("`portable` with {level} instructions, since {missing}");
        Err(Error::setting(VARIABLE, expected, &self.to_string()))
    }
}

/// Warns, once per process, of bfloat16 where single precision is faster.
pub(crate) fn warn_if_slow(precision: Precision, kernel: BFloat16Kernel) {
    static WARNED: Once = Once::new();
    if !kernel.pays() {
        WARNED.call_once(|| {
            tracing::warn!(
                "{precision} precision by `{kernel}` is slower than single precision on this processor"
            );
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use candle_core::{Device, Tensor, Var};
    use rayon::ThreadPoolBuilder;
    use simclr_testkit::formula_values;

    use super::*;
    use crate::{Backend, Conv2dConfig, KernelOptions, backward};

    fn values(name: &str, shape: &[usize]) -> Tensor {
        let count = shape.iter().product();
        Tensor::from_vec(formula_values(name, count, -1.0, 1.0), shape, &Device::Cpu).unwrap()
    }

    /// The bits of outputs and gradients: pointwise, strided and windowed convolutions, with
    /// partial blocks, tiles and pairs.
    fn results(level: SimdLevel, kernel: BFloat16Kernel, threads: usize) -> Vec<Vec<u32>> {
        let options = KernelOptions::default()
            .with_simd_level(level)
            .with_bfloat16_kernel(kernel);
        let run = |(size, stride, inputs, outputs): (usize, usize, usize, usize)| {
            let x = Var::from_tensor(&values("x", &[3, 15, 13, inputs])).unwrap();
            let shape = [size, size, inputs, outputs];
            let weights = Var::from_tensor(&values("kernel", &shape)).unwrap();
            let config = Conv2dConfig::original(size, stride);
            let y = Backend::Fused.conv2d(&x, &weights, config).unwrap();
            let loss = (&y * values("dy", y.dims())).unwrap().sum_all().unwrap();
            let gradients = backward(&loss).unwrap();
            let gradient = |variable| gradients.get(variable).unwrap().clone();
            [y, gradient(&x), gradient(&weights)].map(|tensor| {
                let numbers: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
                numbers.into_iter().map(f32::to_bits).collect()
            })
        };
        let convolutions = [
            (1, 1, 36, 50),
            (1, 2, 64, 96),
            (3, 1, 64, 64),
            (3, 1, 18, 34),
            (3, 2, 160, 40),
            (3, 2, 96, 64),
        ];
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let all = |precision| {
            let options = options.with_precision(precision);
            options.scope(|| convolutions.into_iter().flat_map(run).collect::<Vec<_>>())
        };
        let precisions = [
            Precision::BFloat16x3,
            Precision::BFloat16x6,
            Precision::BFloat16,
            Precision::Mixed,
        ];
        pool.unwrap()
            .install(|| precisions.into_iter().flat_map(all).collect())
    }

    #[test]
    fn threads_change_no_bit() {
        let level = SimdLevel::best();
        let kernel = BFloat16Kernel::Portable;
        assert_eq!(results(level, kernel, 1), results(level, kernel, 3));
    }

    /// Not part of a plain run, because it is about the processor: `.ci/amx_test.sh`.
    #[test]
    #[ignore = "needs AMX or its emulator; .ci/amx_test.sh runs it"]
    fn amx_and_its_twin_agree() {
        for level in SimdLevel::available() {
            let twin = results(level, BFloat16Kernel::Portable, 1);
            for threads in [1, 3] {
                assert_eq!(
                    results(level, BFloat16Kernel::Amx, threads),
                    twin,
                    "{level}"
                );
            }
        }
    }
}
