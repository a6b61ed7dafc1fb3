//! The inverse transforms of libjpeg. The fast integer one (`jidctfst`) is Arai, Agui and
//! Nakajima's scaled algorithm with 8-bit constants and without rounding, in numbers
//! of 16 bits that wrap, as libjpeg's vector code has it. The accurate one has a file of its own.

mod accurate;
mod algorithm;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod plain;

use crate::coefficients::Block;

/// The scale factors of the fast algorithm per row or column.
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

/// What the coefficients of a transform are multiplied by.
pub(crate) enum Multipliers {
    /// A quantisation table with the fast algorithm's scale factors, in 1/4.
    Fast([i16; 64]),
    /// A quantisation table for the accurate transform.
    Accurate([i16; 64]),
}

impl Multipliers {
    pub(crate) fn accurate(quantization: &[u16; 64]) -> Self {
        Self::Accurate(quantization.map(|step| step as i16))
    }

    pub(crate) fn fast(quantization: &[u16; 64]) -> Self {
        let mut multipliers = [0; 64];
        for (place, (multiplier, &step)) in multipliers.iter_mut().zip(quantization).enumerate() {
            let scale = (SCALES[place / 8] * SCALES[place % 8] * 16384.0).round() as i64;
            *multiplier = ((i64::from(step) * scale + (1 << 11)) >> 12) as i16;
        }
        Self::Fast(multipliers)
    }
}

/// The samples of a row of blocks, in eight rows of eight samples per block.
pub(crate) fn inverse(blocks: &[Block], multipliers: &Multipliers, samples: &mut [u8]) {
    let multipliers = match multipliers {
        Multipliers::Fast(multipliers) => multipliers,
        Multipliers::Accurate(steps) => {
            return plain::inverse(blocks, samples, |block| {
                accurate::inverse_block(block, steps)
            });
        }
    };
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return avx2::inverse(simd, blocks, multipliers, samples);
    }
    plain::inverse(blocks, samples, |block| {
        plain::inverse_block(block, multipliers)
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn samples(blocks: &[Block], multipliers: &Multipliers, plain: bool) -> Vec<u8> {
        let mut samples = vec![0; blocks.len() * 64];
        match multipliers {
            Multipliers::Fast(multipliers) if plain => {
                let inverse_block = |block: &_| plain::inverse_block(block, multipliers);
                plain::inverse(blocks, &mut samples, inverse_block);
            }
            _ => inverse(blocks, multipliers, &mut samples),
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
            let multipliers = Multipliers::fast(&quantization);
            let of = |plain| samples(&all[..blocks], &multipliers, plain);
            prop_assert_eq!(of(false), of(true));
        }
    }

    /// The definition in floating point, as near as constants of 8 and of 13 bits come.
    #[test]
    fn it_is_the_inverse_cosine_transform() {
        let mut block = [0; 64];
        for (place, value) in [(0, 300), (1, -70), (9, 44), (18, 25), (32, -31), (63, 12)] {
            block[place] = value;
        }
        let fast = samples(&[block], &Multipliers::fast(&[1; 64]), false);
        let accurate = samples(&[block], &Multipliers::accurate(&[1; 64]), false);
        let scale = |k: usize| if k == 0 { 0.5f64.sqrt() } else { 1.0 };
        let wave = |k: usize, x: usize| {
            scale(k) * ((2 * x + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos()
        };
        for (place, (fast, accurate)) in fast.into_iter().zip(accurate).enumerate() {
            let (y, x) = (place / 8, place % 8);
            let term = |k| f64::from(block[k]) * wave(k / 8, y) * wave(k % 8, x) / 4.0;
            let expected = ((0..64).map(term).sum::<f64>() + 128.0).clamp(0.0, 255.0);
            for (got, tolerance) in [(fast, 5.0), (accurate, 0.6)] {
                let error = f64::from(got) - expected;
                assert!(error.abs() < tolerance, "{place}: {got} {expected}");
            }
        }
    }
}
