//! The instruction sets, and running code compiled for each.

use pulp::{Simd, WithSimd};

use crate::setting::{Setting, impl_names};
use crate::{Error, Result};

/// An instruction set of the fused kernels.
///
/// The default is the best one that the processor has, unless the environment variable
/// `SIMCLR_SIMD` (`avx512`, `avx2`, `neon` or `portable`) or
/// [`KernelOptions`](crate::KernelOptions) names another. Levels add up in another order, so
/// their results differ by rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SimdLevel {
    /// x86-64 with AVX-512 (F, BW, CD, DQ, VL): 16 numbers at once.
    Avx512,
    /// x86-64 with AVX2 and FMA: 8 numbers at once.
    Avx2,
    /// AArch64: 4 numbers at once.
    Neon,
    /// Whatever the compiler makes of plain loops.
    Portable,
}

/// The part of a product that is held in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

/// The columns of the widest tile of any level.
pub(crate) const WIDEST: usize = 32;

pub(crate) static SIMD_LEVEL: Setting<SimdLevel> =
    Setting::new("instruction set", "SIMCLR_SIMD", NAMES);

const NAMES: &[(&str, SimdLevel)] = &[
    ("avx512", SimdLevel::Avx512),
    ("avx2", SimdLevel::Avx2),
    ("neon", SimdLevel::Neon),
    ("portable", SimdLevel::Portable),
];

impl_names!(SimdLevel, SIMD_LEVEL);

impl SimdLevel {
    /// The levels that this processor has, best first; the last is always
    /// [`SimdLevel::Portable`].
    pub fn available() -> Vec<Self> {
        let levels = NAMES.iter().map(|(_, level)| *level);
        levels.filter(|level| level.is_available()).collect()
    }

    pub(crate) fn best() -> Self {
        let mut levels = NAMES.iter().map(|(_, level)| *level);
        let best = levels.find(|level| level.is_available());
        best.unwrap_or(Self::Portable)
    }

    /// Miri interprets the portable level alone.
    fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            _ if cfg!(miri) => false,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => pulp::x86::V4::try_new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => pulp::aarch64::Neon::try_new().is_some(),
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    /// # Errors
    /// [`Error::Setting`] if this processor lacks the level.
    pub(crate) fn check_available(self) -> Result<()> {
        if self.is_available() {
            return Ok(());
        }
        let levels: Vec<String> = Self::available().iter().map(Self::to_string).collect();
        let expected = format!("one of {} on this processor", levels.join(", "));
        Err(Error::setting("SIMCLR_SIMD", expected, &self.to_string()))
    }

    /// What the registers of this level hold of a product: with 16 or 8 numbers a
    /// register two registers per row, with four numbers four; so many rows that
    /// registers are left for one row of the right operand and one number of the left.
    pub(crate) fn tile(self) -> Tile {
        let (rows, columns) = match self {
            Self::Avx512 => (12, 32),
            Self::Avx2 | Self::Neon | Self::Portable => (6, 16),
        };
        Tile { rows, columns }
    }

    /// Runs `work`, compiled for this level.
    // The portable form has one place here: with one per level that the processor may lack it
    // is compiled as often.
    #[inline]
    pub(crate) fn run<Work: WithSimd>(self, work: Work) -> Work::Output {
        #[cfg(target_arch = "x86_64")]
        match self {
            Self::Avx512 => {
                if let Some(simd) = pulp::x86::V4::try_new() {
                    return Simd::vectorize(simd, work);
                }
            }
            Self::Avx2 => {
                if let Some(simd) = pulp::x86::V3::try_new() {
                    return Simd::vectorize(simd, work);
                }
            }
            Self::Neon | Self::Portable => {}
        }
        #[cfg(target_arch = "aarch64")]
        if let (Self::Neon, Some(simd)) = (self, pulp::aarch64::Neon::try_new()) {
            return Simd::vectorize(simd, work);
        }
        work.with_simd(pulp::Scalar256b)
    }
}

/// Whether the processor multiplies pairs of bfloat16 numbers by AVX512-BF16.
pub(crate) fn has_avx512_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether the processor is one of Intel's.
pub(crate) fn is_intel() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::x86_64::__cpuid(0).ebx.to_le_bytes() == *b"Genu";
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Defines a function of a [`SimdLevel`] and the given arguments whose body is compiled for
/// every level. With `; S` after the lifetimes and a first argument without a type, the body
/// sees the level's vectors: `fn name<'a; S>(simd, x: &'a [f32]) -> () { .. }`.
///
/// The body has to be a method that is inlined: a closure within a function that is
/// compiled for a level is not reliably inlined into it, and then runs ten to a hundred times
/// slower.
macro_rules! fn_per_level {
    (
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident<$($lifetime:lifetime),+>(
            $($argument:ident: $type:ty),+ $(,)?
        ) -> $output:ty $body:block
    ) => {
        $crate::simd::fn_per_level! {
            $(#[$attribute])*
            $visibility fn $name<$($lifetime),+; S>(_simd, $($argument: $type),+) -> $output $body
        }
    };
    (
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident<$($lifetime:lifetime),+; $vectors:ident>(
            $simd:ident, $($argument:ident: $type:ty),+ $(,)?
        ) -> $output:ty $body:block
    ) => {
        $(#[$attribute])*
        #[allow(clippy::too_many_arguments)]
        $visibility fn $name<$($lifetime),+>(
            level: $crate::simd::SimdLevel,
            $($argument: $type),+
        ) -> $output {
            struct Task<$($lifetime),+> {
                $($argument: $type),+
            }

            impl<$($lifetime),+> pulp::WithSimd for Task<$($lifetime),+> {
                type Output = $output;

                #[inline(always)]
                fn with_simd<$vectors: pulp::Simd>(self, $simd: $vectors) -> $output {
                    let Self { $($argument),+ } = self;
                    $body
                }
            }

            level.run(Task { $($argument),+ })
        }
    };
}
pub(crate) use fn_per_level;

#[cold]
#[allow(clippy::panic)]
pub(super) fn unsupported(tile: (usize, usize, usize)) -> ! {
    panic!(
        "no kernel for tiles (lanes, rows, columns) {tile:?}: a table was made for another level"
    )
}
