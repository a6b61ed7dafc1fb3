//! What multiplies tiles of bfloat16 numbers: AMX, or its twin in ordinary arithmetic.

use pulp::Simd;

use super::amx::{Amx, ConfiguredTiles};
use super::bfloat16::halves;
use super::tile_layout::{BLOCK, OPERAND, PAIRS, SIDE};
use super::vector::{load_from, store_to};

/// What multiplies tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TileUnit {
    Amx(Amx),
    /// Ordinary arithmetic, in the order of AMX's sums.
    Portable,
}

/// Tiles that the calling thread has to itself.
pub(crate) enum Tiles {
    Amx(ConfiguredTiles),
    Portable,
}

impl TileUnit {
    pub(crate) fn tiles(self) -> Tiles {
        match self {
            Self::Amx(amx) => Tiles::Amx(amx.configure()),
            Self::Portable => Tiles::Portable,
        }
    }
}

impl Tiles {
    /// `block = left right` of numbers in so many parts, plus what was there if `accumulate`; each
    /// part of an operand has the same number of steps. Products whose sum is below the rounding
    /// of the smallest part are left out.
    #[inline(always)]
    pub(crate) fn multiply<'a, S: Simd>(
        &self,
        simd: S,
        parts: usize,
        left: impl Fn(usize) -> &'a [f32],
        right: impl Fn(usize) -> &'a [f32],
        block: &mut [f32; BLOCK],
        accumulate: bool,
    ) {
        let product = |left_part, right_part| (left(left_part), right(right_part));
        match parts {
            1 => self.add_up(simd, [product(0, 0)], block, accumulate),
            2 => {
                let products = [product(0, 0), product(1, 0), product(0, 1)];
                self.add_up(simd, products, block, accumulate)
            }
            _ => {
                let products = [
                    product(0, 0),
                    product(1, 0),
                    product(0, 1),
                    product(1, 1),
                    product(2, 0),
                    product(0, 2),
                ];
                self.add_up(simd, products, block, accumulate)
            }
        }
    }

    /// `block = Σ over products of left right`, plus what was there if `accumulate`.
    #[inline(always)]
    fn add_up<S: Simd, const PRODUCTS: usize>(
        &self,
        simd: S,
        products: [(&[f32], &[f32]); PRODUCTS],
        block: &mut [f32; BLOCK],
        accumulate: bool,
    ) {
        match self {
            Self::Amx(tiles) => tiles.multiply(products, block, accumulate),
            Self::Portable => {
                if !accumulate {
                    block.fill(0.0);
                }
                for (left, right) in products {
                    add_product(simd, left, right, block);
                }
            }
        }
    }
}

/// As AMX is documented (Intel's Software Developer's Manual, TDPBF16PS): of each step the even
/// and the odd terms have a sum each, whose sum is added to the block. Products of bfloat16
/// numbers are exact in f32, so it does not matter whether they are fused with the addition. AMX
/// takes numbers below 2⁻¹²⁶ as zeros, this function does not.
#[inline(always)]
fn add_product<S: Simd>(simd: S, left: &[f32], right: &[f32], block: &mut [f32; BLOCK]) {
    /// Rows at a time: with AVX2 two sums of four rows, and what they are made of, are in
    /// registers.
    const ROWS: usize = 4;
    let (left, right) = (
        left.as_chunks::<OPERAND>().0,
        right.as_chunks::<OPERAND>().0,
    );
    for (left, right) in left.iter().zip(right) {
        for row in (0..SIDE).step_by(ROWS) {
            for column in (0..SIDE).step_by(S::F32_LANES) {
                let mut even = [simd.splat_f32s(0.0); ROWS];
                let mut odd = even;
                for pair in 0..PAIRS {
                    let (right_even, right_odd) =
                        halves(simd, load_from::<S>(&right[pair * SIDE + column..]));
                    for index in 0..ROWS {
                        let place = left[(row + index) * PAIRS + pair];
                        let (left_even, left_odd) = halves(simd, simd.splat_f32s(place));
                        even[index] = simd.mul_add_e_f32s(left_even, right_even, even[index]);
                        odd[index] = simd.mul_add_e_f32s(left_odd, right_odd, odd[index]);
                    }
                }
                for index in 0..ROWS {
                    let sums = &mut block[(row + index) * SIDE + column..];
                    let terms = simd.add_f32s(even[index], odd[index]);
                    store_to::<S>(sums, simd.add_f32s(load_from::<S>(sums), terms));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pulp::WithSimd;
    use simclr_testkit::formula_values;

    use super::*;
    use crate::simd::SimdLevel;

    struct Product<'a>(TileUnit, &'a [f32], &'a [f32], &'a mut [f32; BLOCK], bool);

    impl WithSimd for Product<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self(unit, left, right, block, accumulate) = self;
            let tiles = unit.tiles();
            tiles.multiply(simd, 1, |_| left, |_| right, block, accumulate);
        }
    }

    /// The portable twin, and AMX where this process has it.
    fn units() -> Vec<TileUnit> {
        let amx = Amx::detect().map(TileUnit::Amx);
        assert!(amx.is_ok() || std::env::var_os("AMX_EMULATED").is_none());
        amx.into_iter().chain([TileUnit::Portable]).collect()
    }

    /// bfloat16 numbers in pairs.
    fn operand(name: &str, steps: usize, number: impl Fn(f32) -> f32) -> Vec<f32> {
        let values = formula_values(name, 2 * steps * OPERAND, -1.0, 1.0);
        let half = |value: f32| number(value).to_bits() >> 16;
        let pairs = values.chunks_exact(2);
        let pair = |pair: &[f32]| f32::from_bits(half(pair[0]) | half(pair[1]) << 16);
        pairs.map(pair).collect()
    }

    fn number(operand: &[f32], place: usize, odd: usize) -> f32 {
        f32::from_bits(operand[place].to_bits() >> (16 * odd) << 16)
    }

    /// The manual's pseudo-code, term by term; numbers below 2⁻¹²⁶ are zero everywhere.
    fn documented(left: &[f32], right: &[f32], block: &mut [f32; BLOCK]) {
        let flush = |x: f32| if x.is_subnormal() { 0.0 * x } else { x };
        for step in 0..left.len() / OPERAND {
            let (left, right) = (&left[step * OPERAND..], &right[step * OPERAND..]);
            for (place, sum) in block.iter_mut().enumerate() {
                let (row, column) = (place / SIDE, place % SIDE);
                let mut terms = [0f32; 2];
                for pair in 0..PAIRS {
                    for (odd, terms) in terms.iter_mut().enumerate() {
                        let a = flush(number(left, row * PAIRS + pair, odd));
                        let b = flush(number(right, pair * SIDE + column, odd));
                        *terms = flush(a.mul_add(b, *terms));
                    }
                }
                *sum = flush(*sum + flush(terms[0] + terms[1]));
            }
        }
    }

    fn check(units: &[TileUnit], steps: usize, numbers: impl Fn(f32) -> f32) {
        let left = operand("left", steps, &numbers);
        let right = operand("right", steps, &numbers);
        let mut expected = [0.0; BLOCK];
        documented(&left, &right, &mut expected);
        let mut twice = expected;
        documented(&left, &right, &mut twice);
        for level in SimdLevel::available() {
            for &unit in units {
                let mut block = [f32::NAN; BLOCK];
                level.run(Product(unit, &left, &right, &mut block, false));
                let name = format!("{level}, {unit:?}, {steps} steps");
                assert_eq!(
                    block.map(f32::to_bits),
                    expected.map(f32::to_bits),
                    "{name}"
                );
                level.run(Product(unit, &left, &right, &mut block, true));
                assert_eq!(
                    block.map(f32::to_bits),
                    twice.map(f32::to_bits),
                    "{name}, added"
                );
            }
        }
    }

    #[test]
    fn whole_numbers_are_multiplied_without_an_error() {
        for steps in [0, 1, 5] {
            check(&units(), steps, |value| (value * 16.0).round());
        }
    }

    #[test]
    fn the_twin_adds_up_in_the_documented_order() {
        check(&[TileUnit::Portable], 7, |value| value);
    }

    /// Not part of a plain run, because it is about the processor: `.ci/amx_test.sh`.
    #[test]
    #[ignore = "needs AMX or its emulator; .ci/amx_test.sh runs it"]
    fn amx_adds_up_in_the_documented_order() {
        let amx = [TileUnit::Amx(Amx::detect().unwrap())];
        check(&amx, 7, |value| value);
        check(&amx, 2, |value| value * 1e-20);
        check(&amx, 2, |value| value * 1e-38);
    }
}
