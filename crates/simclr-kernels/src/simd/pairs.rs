//! Products of pairs of bfloat16 numbers in registers.
//!
//! A product of pairs is the sum of both products, so the loops over f32 serve pairs too:
//! half as many steps, with another instruction in the middle.

use pulp::Simd;

use super::bfloat16::halves;
use super::microkernel::Terms;

/// Products of pairs in ordinary arithmetic: the twin of the instruction of AVX512-BF16.
pub(super) struct PairProducts;

impl<S: Simd> Terms<S> for PairProducts {
    #[inline(always)]
    fn add(simd: S, left: S::f32s, right: S::f32s, sum: S::f32s) -> S::f32s {
        let (left, right) = (halves(simd, left), halves(simd, right));
        let sum = simd.mul_add_e_f32s(left.0, right.0, sum);
        simd.mul_add_e_f32s(left.1, right.1, sum)
    }
}
