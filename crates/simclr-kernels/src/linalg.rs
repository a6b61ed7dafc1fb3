//! Matrix products and exponentials on slices, for crates that build their own fused ops.

use pulp::{Arch, NullaryFnOnce};

pub use crate::simd::{MatrixMut, MatrixRef, gemm};

/// Sums and maxima are taken in this many interleaved parts, on every processor.
const LANES: usize = 16;
/// Elements that an f32 part sums at most.
const PART: usize = 4096;

/// Below this, `e^x` is smaller than the smallest normal f32: taken as 0.
const LOWEST: f32 = -87.336_54;
/// Above this, `e^x` is larger than the largest f32: taken as infinity.
const HIGHEST: f32 = 88.722_83;

/// `x <- e^(x - shift)` for every element, and their sum.
///
/// Vectorised for the processor at hand; within two units in the last place of the
/// exact value, the same on every processor. The sum is taken in 16 interleaved
/// parts of f32 over at most 4096 elements each, and those in f64.
pub fn exp_sum(values: &mut [f32], shift: f32) -> f64 {
    Arch::new().dispatch(ExpSum { values, shift })
}

/// The largest element; minus infinity for none. NaN is ignored.
pub fn max(values: &[f32]) -> f32 {
    Arch::new().dispatch(Max { values })
}

// Types and not closures: a closure's body is a function of its own, which is compiled
// once and without the wider instructions, while `call` here is compiled into each of
// the versions that are chosen from at run time.

struct ExpSum<'a> {
    values: &'a mut [f32],
    shift: f32,
}

impl NullaryFnOnce for ExpSum<'_> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        let mut total = 0f64;
        for chunk in self.values.chunks_mut(PART * LANES) {
            let mut parts = [0f32; LANES];
            let (blocks, rest) = chunk.as_chunks_mut::<LANES>();
            for block in blocks {
                for (value, part) in block.iter_mut().zip(&mut parts) {
                    *value = exp(*value - self.shift);
                    *part += *value;
                }
            }
            for (value, part) in rest.iter_mut().zip(&mut parts) {
                *value = exp(*value - self.shift);
                *part += *value;
            }
            total += parts.iter().map(|&part| f64::from(part)).sum::<f64>();
        }
        total
    }
}

struct Max<'a> {
    values: &'a [f32],
}

impl NullaryFnOnce for Max<'_> {
    type Output = f32;

    #[inline(always)]
    fn call(self) -> f32 {
        let larger = |best: f32, value: f32| if value > best { value } else { best };
        let mut parts = [f32::NEG_INFINITY; LANES];
        let (blocks, rest) = self.values.as_chunks::<LANES>();
        for block in blocks {
            for (part, &value) in parts.iter_mut().zip(block) {
                *part = larger(*part, value);
            }
        }
        let both = parts.iter().chain(rest);
        both.fold(f32::NEG_INFINITY, |best, &value| larger(best, value))
    }
}

/// Cephes' single-precision exponential (Moshier 1992): `x = n ln 2 + r` with
/// `|r| <= ln 2 / 2`, a polynomial in `r`, and `n` into the exponent's bits.
/// Without branches, so that loops over it become vector code.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5 x 2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    let bounded = if x < LOWEST { LOWEST } else { x };
    let bounded = if bounded > HIGHEST { HIGHEST } else { bounded };
    let n = (bounded * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = bounded - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.500_000_06;
    let fraction = p * r * r + r + 1.0;
    // Two factors, because 2^128 does not fit into one.
    let half = (n as i32) >> 1;
    let power = |e: i32| f32::from_bits(((e + 127) << 23) as u32);
    let value = fraction * power(half) * power(n as i32 - half);
    if x < LOWEST {
        0.0
    } else if x > HIGHEST {
        f32::INFINITY
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_within_two_units_in_the_last_place() {
        let mut worst = 0.0f64;
        for step in -8700..8870 {
            let x = step as f32 * 0.01;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) / exact - 1.0).abs());
        }
        assert!(worst < 2.0 * f64::from(f32::EPSILON), "{worst:e}");
    }

    #[test]
    fn exponentials_at_the_ends() {
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-1e9), 0.0);
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert!(exp(88.7).is_finite());
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn sums_and_maxima_of_any_length() {
        for length in [0usize, 1, 15, 16, 17, 1000, 70_000] {
            let values: Vec<f32> = (0..length)
                .map(|i| ((i * 37) % 101) as f32 * 0.05 - 4.0)
                .collect();
            let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(max(&values), highest);
            let exact: f64 = values.iter().map(|&v| f64::from(v - 1.0).exp()).sum();
            let mut scaled = values.clone();
            let sum = exp_sum(&mut scaled, 1.0);
            assert!(
                (sum - exact).abs() <= 1e-5 * exact,
                "{length}: {sum} against {exact}"
            );
        }
    }
}
