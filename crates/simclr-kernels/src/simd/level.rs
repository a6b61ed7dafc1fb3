//! Which instructions run.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use pulp::{Simd, WithSimd};

use crate::{Error, Result};

/// The environment variable that names a level.
const VARIABLE: &str = "SIMCLR_SIMD";

/// A set of vector instructions that the fused kernels can run on.
///
/// The best one that the processor has is taken, unless the environment variable
/// `SIMCLR_SIMD` (`avx512`, `avx2`, `neon` or `portable`) or [`SimdLevel::choose`]
/// names another. Levels add up in another order, so results differ by rounding.
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

/// The part of a product that the registers hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

/// What `choose` chose: 0 for nothing, else one more than the index in `ALL`.
static CHOSEN: AtomicU8 = AtomicU8::new(0);

const ALL: [SimdLevel; 4] = [
    SimdLevel::Avx512,
    SimdLevel::Avx2,
    SimdLevel::Neon,
    SimdLevel::Portable,
];

impl SimdLevel {
    /// The levels that this processor has, best first; the last is always
    /// [`SimdLevel::Portable`].
    pub fn available() -> Vec<Self> {
        ALL.into_iter()
            .filter(|level| level.is_available())
            .collect()
    }

    /// The level that the fused kernels run on.
    ///
    /// # Errors
    /// [`Error::Setting`] if `SIMCLR_SIMD` names no level, or one that this
    /// processor lacks.
    pub fn current() -> Result<Self> {
        static DEFAULT: OnceLock<Result<SimdLevel, String>> = OnceLock::new();
        let chosen = usize::from(CHOSEN.load(Ordering::Relaxed));
        if let Some(level) = chosen.checked_sub(1).and_then(|index| ALL.get(index)) {
            return Ok(*level);
        }
        let default = DEFAULT.get_or_init(|| match std::env::var(VARIABLE) {
            Ok(name) => name.parse().map_err(|_| name),
            Err(_) => Ok(Self::best()),
        });
        match default {
            Ok(level) if level.is_available() => Ok(*level),
            Ok(level) => Err(unavailable(&level.to_string())),
            Err(name) => Err(unavailable(name)),
        }
    }

    /// Makes all fused kernels of this process run on `level`; `None` goes back to
    /// the default. Meant for tests and measurements.
    ///
    /// # Errors
    /// [`Error::Setting`] if this processor lacks the level.
    pub fn choose(level: Option<Self>) -> Result<()> {
        let code = match level {
            None => 0,
            Some(level) if level.is_available() => level as u8 + 1,
            Some(level) => return Err(unavailable(&level.to_string())),
        };
        CHOSEN.store(code, Ordering::Relaxed);
        Ok(())
    }

    fn best() -> Self {
        let found = ALL.into_iter().find(|level| level.is_available());
        found.unwrap_or(Self::Portable)
    }

    fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => pulp::x86::V4::try_new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => pulp::aarch64::Neon::try_new().is_some(),
            Self::Portable => true,
            #[allow(unreachable_patterns)]
            _ => false,
        }
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
    #[inline]
    pub(crate) fn run<Work: WithSimd>(self, work: Work) -> Work::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => match pulp::x86::V4::try_new() {
                Some(simd) => Simd::vectorize(simd, work),
                None => work.with_simd(pulp::Scalar256b),
            },
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => match pulp::x86::V3::try_new() {
                Some(simd) => Simd::vectorize(simd, work),
                None => work.with_simd(pulp::Scalar256b),
            },
            #[cfg(target_arch = "aarch64")]
            Self::Neon => match pulp::aarch64::Neon::try_new() {
                Some(simd) => Simd::vectorize(simd, work),
                None => work.with_simd(pulp::Scalar256b),
            },
            _ => work.with_simd(pulp::Scalar256b),
        }
    }
}

fn unavailable(name: &str) -> Error {
    let levels: Vec<String> = SimdLevel::available()
        .iter()
        .map(SimdLevel::to_string)
        .collect();
    Error::setting(VARIABLE, format!("one of {}", levels.join(", ")), name)
}

impl fmt::Display for SimdLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        })
    }
}

impl FromStr for SimdLevel {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = ALL.into_iter().find(|level| level.to_string() == name);
        found.ok_or_else(|| unavailable(name))
    }
}
