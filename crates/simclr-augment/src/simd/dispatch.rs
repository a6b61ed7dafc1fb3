//! The choice of vector instructions at run time.

use super::level::Level;
use super::portable::Portable;

/// A piece of work made of plain loops and of a level's steps.
///
/// It is a type of its own rather than a closure because its `call` can be marked
/// `#[inline(always)]` down to the last loop. The compiler wraps a closure in a
/// function of its own that is compiled once, without the wider instructions.
pub(crate) trait Kernel {
    type Output;
    fn call<L: Level>(self, level: L) -> Self::Output;
}

/// A kernel whose level is decided.
#[cfg(target_arch = "x86_64")]
struct Leveled<L, K> {
    level: L,
    kernel: K,
}

#[cfg(target_arch = "x86_64")]
impl<L: Level, K: Kernel> pulp::NullaryFnOnce for Leveled<L, K> {
    type Output = K::Output;

    #[inline(always)]
    fn call(self) -> K::Output {
        self.kernel.call(self.level)
    }
}

/// Runs the kernel in the version for this processor, chosen at run time.
pub(crate) fn vectorized<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(level) = pulp::x86::V4::try_new() {
        return level.vectorize(Leveled { level, kernel });
    }
    vectorized_short(kernel)
}

/// As [`vectorized`], but with vectors of 32 bytes at most: for loops with unaligned
/// reads, where each longer vector would cross a cache line.
pub(crate) fn vectorized_short<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(level) = pulp::x86::V3::try_new() {
        return level.vectorize(Leveled { level, kernel });
    }
    kernel.call(Portable)
}

/// Runs the kernel in every version that this processor has, the portable one first.
#[cfg(test)]
pub(crate) fn on_every_level<K: Kernel>(mut kernel: impl FnMut() -> K) -> Vec<K::Output> {
    let mut outputs = vec![kernel().call(Portable)];
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(level) = pulp::x86::V3::try_new() {
            let kernel = kernel();
            outputs.push(level.vectorize(Leveled { level, kernel }));
        }
        if let Some(level) = pulp::x86::V4::try_new() {
            let kernel = kernel();
            outputs.push(level.vectorize(Leveled { level, kernel }));
        }
    }
    outputs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simd::level::{ColumnGroup, GROUP, MARGIN};

    struct Resample<'a> {
        row: &'a [f32],
        group: &'a ColumnGroup,
    }

    impl Kernel for Resample<'_> {
        type Output = [[f32; GROUP]; 2];

        #[inline(always)]
        fn call<L: Level>(self, level: L) -> Self::Output {
            let mut output = [[0.0; GROUP]; 2];
            level.resample::<2>(self.row, self.group, &mut output[0]);
            level.resample::<4>(self.row, self.group, &mut output[1]);
            output
        }
    }

    struct Split<'a>(&'a [[u8; 3]]);

    impl Kernel for Split<'_> {
        type Output = [Vec<f32>; 3];

        #[inline(always)]
        fn call<L: Level>(self, level: L) -> Self::Output {
            let mut planes = [0, 1, 2].map(|_| vec![0.0; self.0.len()]);
            level.split_bytes(self.0, planes.each_mut().map(Vec::as_mut_slice));
            planes
        }
    }

    proptest! {
        #[test]
        fn levels_resample_alike(
            row in prop::collection::vec(-300.0f32..300.0, 90 + MARGIN),
            offsets in prop::array::uniform4(prop::array::uniform8(0i32..40)),
            weights in prop::array::uniform4(prop::array::uniform8(-1.0f32..1.0)),
            first in 0usize..50,
            narrow in prop_oneof![Just(16), Just(32), Just(40)],
        ) {
            let offsets = offsets.map(|tap| tap.map(|place| place % narrow));
            let reach = 1 + offsets.as_flattened().iter().max().map_or(0, |&place| place as usize);
            let group = ColumnGroup { first, reach, offsets, weights };
            let outputs = on_every_level(|| Resample { row: &row, group: &group });
            for lane in 0..GROUP {
                let term = |tap: usize| row[first + offsets[tap][lane] as usize] * weights[tap][lane];
                let (two, rest) = (term(0) + term(1), term(2) + term(3));
                for output in &outputs {
                    prop_assert_eq!(output[0][lane], two);
                    prop_assert_eq!(output[1][lane], two + rest);
                }
            }
        }

        #[test]
        fn levels_split_alike(pixels in prop::collection::vec(any::<[u8; 3]>(), 0..70)) {
            for planes in on_every_level(|| Split(&pixels)) {
                for (i, pixel) in pixels.iter().enumerate() {
                    prop_assert_eq!([0, 1, 2].map(|c| planes[c][i]), pixel.map(f32::from));
                }
            }
        }
    }
}
