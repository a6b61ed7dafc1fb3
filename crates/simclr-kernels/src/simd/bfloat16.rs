//! Pairs of bfloat16 numbers, each pair in the place of one f32.

use pulp::Simd;

use super::level::WIDEST;
use super::vector::{load_from, store_to};

/// The nearest bfloat16 number, of two equally near the even one: the upper half of the bits
/// of an f32. What is not a number stays so.
#[inline(always)]
fn rounded(value: f32) -> u16 {
    let bits = value.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let quiet = bits >> 16 | 0x40;
    (if value.is_nan() { quiet } else { nearest }) as u16
}

/// A part of an f32 number as a bfloat16 number. The sum of the first two is off by at most 2⁻¹⁸ of
/// the number, that of all three is the number. An infinite number has a high part alone (the others
/// are NaN).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The nearest bfloat16 number.
    High,
    /// The one nearest to what the high part lacks.
    Middle,
    /// What both lack.
    Low,
}

impl Part {
    /// A number whose nearest bfloat16 number is this part.
    #[inline(always)]
    pub(crate) fn of(self, value: f32) -> f32 {
        let rest = |value: f32| value - f32::from_bits(u32::from(rounded(value)) << 16);
        match self {
            Self::High => value,
            Self::Middle => rest(value),
            Self::Low => rest(rest(value)),
        }
    }
}

/// Rounds numbers that lie side by side to pairs that do.
#[inline(always)]
pub(crate) fn round_to_pairs(values: impl Iterator<Item = f32>, pairs: &mut [f32]) {
    // SAFETY: an f32 has room for two u16, which any bits are.
    let halves = unsafe {
        std::slice::from_raw_parts_mut(pairs.as_mut_ptr().cast::<u16>(), 2 * pairs.len())
    };
    for (half, value) in halves.iter_mut().zip(values) {
        *half = rounded(value);
    }
}

/// The numbers of pairs that lie side by side.
#[inline(always)]
pub(crate) fn unpack(pairs: &[f32], numbers: &mut [f32]) {
    // SAFETY: an f32 has room for two u16, which any bits are.
    let halves =
        unsafe { std::slice::from_raw_parts(pairs.as_ptr().cast::<u16>(), 2 * pairs.len()) };
    for (number, &half) in numbers.iter_mut().zip(halves) {
        *number = f32::from_bits(u32::from(half) << 16);
    }
}

/// The numbers of the pairs at the front of a slice, as many as a vector has.
#[inline(always)]
pub(super) fn load_pairs<S: Simd>(pairs: &[f32]) -> S::f32s {
    let mut numbers = [0.0; WIDEST];
    let numbers = &mut numbers[..S::F32_LANES];
    unpack(&pairs[..S::F32_LANES / 2], numbers);
    load_from::<S>(numbers)
}

/// Rounds a vector to pairs of neighbours.
///
/// # Safety
/// `to` points to room for half as many places as a vector has numbers.
#[inline(always)]
pub(super) unsafe fn store_rounded<S: Simd>(simd: S, to: *mut f32, values: S::f32s) {
    let mut bits = [0.0; WIDEST];
    let rounded = simd.transmute_f32s_u32s(rounded_vector(simd, values));
    store_to::<S>(&mut bits, rounded);
    // SAFETY: the room of so many f32 is that of twice as many u16, which any bits are.
    let halves = unsafe { std::slice::from_raw_parts_mut(to.cast::<u16>(), S::F32_LANES) };
    for (half, bits) in halves.iter_mut().zip(bits) {
        *half = (bits.to_bits() >> 16) as u16;
    }
}

/// Rounds the numbers of two rows, and pairs each of the first with the one below it.
#[inline(always)]
pub(crate) fn pair(first: &[f32], second: &[f32], pairs: &mut [f32]) {
    for (pair, (&first, &second)) in pairs.iter_mut().zip(first.iter().zip(second)) {
        let ([a, b], [c, d]) = (rounded(first).to_ne_bytes(), rounded(second).to_ne_bytes());
        *pair = f32::from_ne_bytes([a, b, c, d]);
    }
}

/// As [`pair`], for vectors.
#[inline(always)]
pub(crate) fn pair_vectors<S: Simd>(simd: S, first: S::f32s, second: S::f32s) -> S::f32s {
    let first = simd.wrapping_dyn_shr_u32s(rounded_vector(simd, first), simd.splat_u32s(16));
    let second = simd.and_u32s(rounded_vector(simd, second), simd.splat_u32s(0xffff_0000));
    simd.transmute_f32s_u32s(simd.or_u32s(first, second))
}

/// [`rounded`] numbers in the upper halves, anything in the lower ones.
#[inline(always)]
fn rounded_vector<S: Simd>(simd: S, values: S::f32s) -> S::u32s {
    let bits = simd.transmute_u32s_f32s(values);
    let last = simd.wrapping_dyn_shr_u32s(bits, simd.splat_u32s(16));
    let last = simd.and_u32s(last, simd.splat_u32s(1));
    let nearest = simd.add_u32s(bits, simd.add_u32s(last, simd.splat_u32s(0x7fff)));
    let quiet = simd.or_u32s(bits, simd.splat_u32s(0x0040_0000));
    simd.select_u32s(simd.equal_f32s(values, values), nearest, quiet)
}

/// Rounds rows and pairs the first with the second, the third with the fourth and so on;
/// a last one without a partner with zeros. The pairs are in the front half afterwards.
#[inline(always)]
pub(crate) fn pair_rows<const WIDTH: usize>(rows: &mut [[f32; WIDTH]]) {
    for index in 0..rows.len().div_ceil(2) {
        let first = rows[2 * index];
        let second = rows.get(2 * index + 1).copied().unwrap_or([0.0; WIDTH]);
        pair(&first, &second, &mut rows[index]);
    }
}

/// As [`interleave`], for rows of any length.
#[inline(always)]
pub(crate) fn interleave_rows(first: &[f32], second: &[f32], paired: &mut [f32]) {
    for ((paired, &first), &second) in paired.chunks_exact_mut(2).zip(first).zip(second) {
        paired.copy_from_slice(&interleave::<1, 2>([first], [second]));
    }
}

/// Numbers that lie in pairs in two rows, paired with those of the other row: the first with the
/// first and so on.
#[inline(always)]
pub(crate) fn interleave<const PAIRS: usize, const NUMBERS: usize>(
    first: [f32; PAIRS],
    second: [f32; PAIRS],
) -> [f32; NUMBERS] {
    let mut paired = [0.0; NUMBERS];
    for ((paired, first), second) in paired.chunks_exact_mut(2).zip(first).zip(second) {
        let (first, second) = (first.to_bits(), second.to_bits());
        paired[0] = f32::from_bits(first & 0xffff | second << 16);
        paired[1] = f32::from_bits(first >> 16 | second & 0xffff_0000);
    }
    paired
}

/// The first and the second number of each pair.
#[inline(always)]
pub(super) fn halves<S: Simd>(simd: S, pairs: S::f32s) -> (S::f32s, S::f32s) {
    let pairs = simd.transmute_u32s_f32s(pairs);
    let first = simd.wrapping_dyn_shl_u32s(pairs, simd.splat_u32s(16));
    let second = simd.and_u32s(pairs, simd.splat_u32s(0xffff_0000));
    (
        simd.transmute_f32s_u32s(first),
        simd.transmute_f32s_u32s(second),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::level::SimdLevel;
    use super::*;

    /// By the distance to both neighbours, in f64.
    fn nearest(value: f32) -> u16 {
        let below = (value.to_bits() >> 16) as u16;
        let number = |half: u16| f64::from(f32::from_bits(u32::from(half) << 16));
        let distance = |half: u16| (number(half) - f64::from(value)).abs();
        match distance(below).total_cmp(&distance(below + 1)) {
            std::cmp::Ordering::Less => below,
            std::cmp::Ordering::Greater => below + 1,
            std::cmp::Ordering::Equal => below + (below & 1),
        }
    }

    proptest! {
        #[test]
        fn numbers_are_rounded_to_the_nearest(value in -1e30f32..1e30) {
            prop_assert_eq!(rounded(value), nearest(value));
        }

        #[test]
        fn ties_go_to_the_even_one(half in 0x0080u16..0x7f00) {
            let tie = f32::from_bits(u32::from(half) << 16 | 0x8000);
            prop_assert_eq!(rounded(tie), half + (half & 1));
            prop_assert_eq!(rounded(-tie), 0x8000 | (half + (half & 1)));
        }
    }

    #[test]
    fn what_is_no_number_stays_so() {
        let number = |half: u16| f32::from_bits(u32::from(half) << 16);
        assert!(number(rounded(f32::NAN)).is_nan());
        assert!(number(rounded(f32::from_bits(0xffff_ffff))).is_nan());
        assert_eq!(number(rounded(f32::NEG_INFINITY)), f32::NEG_INFINITY);
        assert_eq!(number(rounded(f32::MAX)), f32::INFINITY);
    }

    #[test]
    fn vectors_are_paired_as_slices_are() {
        struct Both<'a>(&'a [f32], &'a [f32]);

        impl pulp::WithSimd for Both<'_> {
            type Output = Vec<f32>;

            fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
                let mut pairs = vec![0.0; self.0.len()];
                for start in (0..pairs.len()).step_by(S::F32_LANES) {
                    let [first, second] = [self.0, self.1].map(|x| load_from::<S>(&x[start..]));
                    store_to::<S>(&mut pairs[start..], pair_vectors(simd, first, second));
                }
                pairs
            }
        }

        let first: Vec<f32> = (0..64).map(|k| (k as f32 - 30.0) / 77.0).collect();
        let mut second: Vec<f32> = first.iter().map(|x| x * 1e30).collect();
        second[..3].copy_from_slice(&[f32::NAN, f32::INFINITY, f32::MAX]);
        let mut expected = vec![0.0; 64];
        pair(&first, &second, &mut expected);
        for level in SimdLevel::available() {
            let pairs = level.run(Both(&first, &second));
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&pairs), bits(&expected), "{level}");
        }
    }

    #[test]
    fn both_ways_to_pair_agree() {
        let values: Vec<f32> = (0..64).map(|k| 1.0 + k as f32 / 77.0).collect();
        let mut side_by_side = [0.0; 32];
        round_to_pairs(values.iter().copied(), &mut side_by_side);
        let mut rows = [[0.0; 32]; 2];
        for (k, &value) in values.iter().enumerate() {
            rows[k % 2][k / 2] = value;
        }
        pair_rows(&mut rows);
        assert_eq!(rows[0].map(f32::to_bits), side_by_side.map(f32::to_bits));
    }
}
