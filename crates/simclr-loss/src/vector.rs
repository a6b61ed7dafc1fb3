//! Exponentials, logarithms and sums over slices, written so that the compiler
//! turns them into vector instructions inside [`pulp::Arch::dispatch`].

/// Independent partial sums.
const LANES: usize = 16;

/// `e^x` to about one unit in the last place for `x <= 88`; exactly 0 below -87.
///
/// `e^x = 2^n e^r` with `n = round(x / ln 2)` and a polynomial for `e^r` (Cephes' coefficients).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves the rounded number in the lowest bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first of few bits: their products with n are exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const EXPONENT_OF_ONE: u32 = 0x3f80_0000;
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, x));
    let mut p = 1.987_569_1e-4f32;
    p = p.mul_add(r, 1.398_199_9e-3);
    p = p.mul_add(r, 8.333_452e-3);
    p = p.mul_add(r, 4.166_579_6e-2);
    p = p.mul_add(r, 1.666_666_6e-1);
    p = p.mul_add(r, 0.5);
    let p = p.mul_add(r * r, r) + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(EXPONENT_OF_ONE));
    if x < -87.0 { 0.0 } else { p * power }
}

/// `ln x` to about one unit in the last place, for positive normal numbers (Cephes' coefficients).
#[inline(always)]
pub(crate) fn ln(x: f32) -> f32 {
    // The bits of sqrt(1/2): the mantissa is taken from [sqrt(1/2), sqrt(2)).
    const SQRT_HALF: u32 = 0x3f35_04f3;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let offset = x.to_bits().wrapping_sub(SQRT_HALF);
    let exponent = ((offset as i32) >> 23) as f32;
    let m = f32::from_bits((offset & 0x007f_ffff).wrapping_add(SQRT_HALF)) - 1.0;
    let mut p = 7.037_683_6e-2f32;
    p = p.mul_add(m, -1.151_461e-1);
    p = p.mul_add(m, 1.167_699_9e-1);
    p = p.mul_add(m, -1.242_014_1e-1);
    p = p.mul_add(m, 1.424_932_3e-1);
    p = p.mul_add(m, -1.666_805_8e-1);
    p = p.mul_add(m, 2.000_071_5e-1);
    p = p.mul_add(m, -2.499_999_4e-1);
    p = p.mul_add(m, 3.333_333e-1);
    let square = m * m;
    let tail = (p * m).mul_add(square, exponent * LN_2_LOW);
    let tail = square.mul_add(-0.5, tail);
    exponent.mul_add(LN_2_HIGH, m + tail)
}

/// The sum, in an order that does not depend on the machine.
#[inline(always)]
pub(crate) fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] += block[lane];
        }
    }
    let rest: f32 = rest.iter().sum();
    lanes.iter().sum::<f32>() + rest
}

/// The sum of squares, in an order that does not depend on the machine.
#[inline(always)]
pub(crate) fn squared_length(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] += block[lane] * block[lane];
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|value| value * value).sum::<f32>()
}

/// The largest value, at least [`f32::MIN`].
#[inline(always)]
pub(crate) fn max(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::MIN; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], block[lane]);
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::MIN, larger)
}

/// Replaces each `x` by `e^(scale x - shift)` and returns the sum.
#[inline(always)]
pub(crate) fn exp_sum(values: &mut [f32], scale: f32, shift: f32) -> f32 {
    // In pieces, so that the sum reads from the nearest cache.
    let mut total = 0.0;
    for piece in values.chunks_mut(512) {
        for value in piece.iter_mut() {
            *value = exp(*value * scale - shift);
        }
        total += sum(piece);
    }
    total
}

/// `- sum of p ln(p + offset)` with `p = weight * value`.
#[inline(always)]
pub(crate) fn entropy(values: &[f32], weight: f32, offset: f32) -> f32 {
    let mut total = 0.0;
    let mut terms = [0.0f32; 512];
    for piece in values.chunks(terms.len()) {
        for (term, &value) in terms.iter_mut().zip(piece) {
            let p = weight * value;
            *term = p * ln(p + offset);
        }
        total += sum(&terms[..piece.len()]);
    }
    -total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exact_to_the_last_places() {
        for i in -870_000..=880_000 {
            let x = i as f32 * 1e-4;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2e-7, "exp({x}): {error:e}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-88.0), 0.0);
        assert_eq!(exp(f32::MIN), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn ln_is_exact_to_the_last_places() {
        for i in 0..2_000_000 {
            let x = 1e-8f32 * 1.000_01f32.powi(i % 1_900_000);
            if x > 1e3 {
                break;
            }
            let exact = f64::from(x).ln();
            let error = (f64::from(ln(x)) - exact).abs();
            assert!(error < 2e-7 * exact.abs().max(0.5), "ln({x}): {error:e}");
        }
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn reductions_of_any_length() {
        for length in [0, 1, 15, 16, 33, 1000] {
            let mut values: Vec<f32> = (0..length).map(|i| (i % 7) as f32 - 3.0).collect();
            assert_eq!(sum(&values), values.iter().sum::<f32>());
            let largest = values.iter().copied().fold(f32::MIN, f32::max);
            assert_eq!(max(&values), largest);
            let expected: f64 = values.iter().map(|&v| f64::from(v).exp()).sum();
            let total = exp_sum(&mut values, 1.0, 0.0);
            assert!((f64::from(total) - expected).abs() <= 1e-5 * expected);
        }
    }
}
