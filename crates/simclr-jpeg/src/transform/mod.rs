//! The fast integer inverse transform of libjpeg (`jidctfst`): Arai, Agui and
//! Nakajima's scaled algorithm with 8-bit constants and without rounding, in numbers
//! of 16 bits that wrap, as libjpeg's vector code has it.

mod algorithm;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod plain;

use crate::coefficients::Block;

/// The scale factors of the algorithm per row or column.
const SCALES: [f64; 8] = [
    1.0,
    1.387_039_845,
    1.306_562_965,
    1.175_875_602,
    1.0,
    0.785_694_958,
    0.541_196_100,
    0.275_899_379,
];

/// A quantisation table with the algorithm's scale factors, in 1/4.
pub(crate) struct Multipliers([i16; 64]);

impl Multipliers {
    pub(crate) fn new(quantization: &[u16; 64]) -> Self {
        let mut multipliers = [0; 64];
        for (place, (multiplier, &step)) in multipliers.iter_mut().zip(quantization).enumerate() {
            let scale = (SCALES[place / 8] * SCALES[place % 8] * 16384.0).round() as i64;
            *multiplier = ((i64::from(step) * scale + (1 << 11)) >> 12) as i16;
        }
        Self(multipliers)
    }
}

/// The samples of a row of blocks, in eight rows of eight samples per block.
pub(crate) fn inverse(blocks: &[Block], multipliers: &Multipliers, samples: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return avx2::inverse(simd, blocks, &multipliers.0, samples);
    }
    plain::inverse(blocks, &multipliers.0, samples);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn samples(blocks: &[Block], multipliers: &Multipliers, plain: bool) -> Vec<u8> {
        let mut samples = vec![0; blocks.len() * 64];
        if plain {
            plain::inverse(blocks, &multipliers.0, &mut samples);
        } else {
            inverse(blocks, multipliers, &mut samples);
        }
        samples
    }

    proptest! {
        /// Also where numbers wrap.
        #[test]
        fn vector_code_and_plain_code_give_the_same(
            coefficients in prop::collection::vec(
                prop_oneof![4 => Just(0i16), 4 => -40i16..40, 1 => any::<i16>()],
                64 * 5,
            ),
            blocks in 1usize..=5,
            steps in prop::collection::vec(prop_oneof![9 => 1u16..256, 1 => any::<u16>()], 64),
        ) {
            let (all, _) = coefficients.as_chunks::<64>();
            let mut quantization = [0; 64];
            quantization.copy_from_slice(&steps);
            let multipliers = Multipliers::new(&quantization);
            let of = |plain| samples(&all[..blocks], &multipliers, plain);
            prop_assert_eq!(of(false), of(true));
        }
    }

    /// The definition in floating point, as near as 8-bit constants come.
    #[test]
    fn it_is_the_inverse_cosine_transform() {
        let mut block = [0; 64];
        for (place, value) in [(0, 300), (1, -70), (9, 44), (18, 25), (32, -31), (63, 12)] {
            block[place] = value;
        }
        let result = samples(&[block], &Multipliers::new(&[1; 64]), false);
        let scale = |k: usize| if k == 0 { 0.5f64.sqrt() } else { 1.0 };
        let wave = |k: usize, x: usize| {
            scale(k) * ((2 * x + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos()
        };
        for (place, &got) in result.iter().enumerate() {
            let (y, x) = (place / 8, place % 8);
            let term = |k| f64::from(block[k]) * wave(k / 8, y) * wave(k % 8, x) / 4.0;
            let expected = ((0..64).map(term).sum::<f64>() + 128.0).clamp(0.0, 255.0);
            let error = f64::from(got) - expected;
            assert!(error.abs() < 5.0, "{place}: {got} {expected}");
        }
    }
}
