//! The fast integer inverse transform of libjpeg (`jidctfst`): Arai, Agui and
//! Nakajima's scaled algorithm with 8-bit constants and without rounding, in numbers
//! of 16 bits that wrap, as libjpeg's vector code has it.

#[cfg(target_arch = "x86_64")]
mod avx2;

use super::frame::Block;

/// The scale factors of the algorithm per row or column, times their products 2^14.
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

/// sqrt(2), and the other constants of the algorithm, times 256. The last one, 2.613,
/// is 1 too large for the vector code's products; the 1 is subtracted apart.
const C1_414: i16 = 362;
const C1_847: i16 = 473;
const C1_082: i16 = 277;
const C1_613: i16 = 413;

/// A quantisation table with the algorithm's scale factors, in 1/4.
pub(super) struct Multipliers([i16; 64]);

impl Multipliers {
    pub(super) fn new(quantization: &[u16; 64]) -> Self {
        let mut multipliers = [0; 64];
        for (place, (multiplier, &step)) in multipliers.iter_mut().zip(quantization).enumerate() {
            let scale = (SCALES[place / 8] * SCALES[place % 8] * 16384.0).round() as i64;
            *multiplier = ((i64::from(step) * scale + (1 << 11)) >> 12) as i16;
        }
        Self(multipliers)
    }
}

/// A row of blocks, and where its eight rows of samples belong: one after the other,
/// each of eight samples per block.
struct BlockRow<'a> {
    blocks: &'a [Block],
    multipliers: &'a [i16; 64],
    samples: &'a mut [u8],
}

/// The samples of a row of blocks, in eight rows of eight samples per block.
pub(super) fn inverse(blocks: &[Block], multipliers: &Multipliers, samples: &mut [u8]) {
    let row = BlockRow {
        blocks,
        multipliers: &multipliers.0,
        samples,
    };
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return avx2::inverse(simd, row);
    }
    inverse_plain(row);
}

fn inverse_plain(row: BlockRow<'_>) {
    let length = row.blocks.len() * 8;
    for (x, block) in row.blocks.iter().enumerate() {
        let pixels = inverse_block(block, row.multipliers);
        for (pixels, line) in pixels.iter().zip(row.samples.chunks_exact_mut(length)) {
            line[x * 8..x * 8 + 8].copy_from_slice(pixels);
        }
    }
}

/// Eight numbers that take the same steps side by side: the columns of a block.
type Lanes = [i16; 8];

fn inverse_block(block: &Block, multipliers: &[i16; 64]) -> [[u8; 8]; 8] {
    let mut lines = [[0; 8]; 8];
    for (line, y) in lines.iter_mut().zip(0..) {
        for x in 0..8 {
            line[x] = block[y * 8 + x].wrapping_mul(multipliers[y * 8 + x]);
        }
    }
    let rows = transposed(&transform(&lines));
    transposed(&transform(&rows)).map(|row| row.map(to_sample))
}

fn to_sample(value: i16) -> u8 {
    ((value >> 5).clamp(-128, 127) + 128) as u8
}

fn transposed(lines: &[Lanes; 8]) -> [Lanes; 8] {
    std::array::from_fn(|j| std::array::from_fn(|i| lines[i][j]))
}

fn add(a: Lanes, b: Lanes) -> Lanes {
    std::array::from_fn(|lane| a[lane].wrapping_add(b[lane]))
}

fn sub(a: Lanes, b: Lanes) -> Lanes {
    std::array::from_fn(|lane| a[lane].wrapping_sub(b[lane]))
}

/// `value * constant / 256`, rounded down; values beyond 14 bits wrap.
fn times(value: Lanes, constant: i16) -> Lanes {
    value.map(|value| ((i32::from(value << 2) * i32::from(constant)) >> 10) as i16)
}

/// Eight 1-dimensional transforms, each down a column of the lines.
fn transform(input: &[Lanes; 8]) -> [Lanes; 8] {
    let (sum, difference) = (add(input[0], input[4]), sub(input[0], input[4]));
    let outer = add(input[2], input[6]);
    let inner = sub(times(sub(input[2], input[6]), C1_414), outer);
    let even = [
        add(sum, outer),
        add(difference, inner),
        sub(difference, inner),
        sub(sum, outer),
    ];
    let (z13, z10) = (add(input[5], input[3]), sub(input[5], input[3]));
    let (z11, z12) = (add(input[1], input[7]), sub(input[1], input[7]));
    let odd7 = add(z11, z13);
    let z5 = times(add(z10, z12), C1_847);
    let odd6 = sub(add(sub(times(z10, -C1_613), z10), z5), odd7);
    let odd5 = sub(times(sub(z11, z13), C1_414), odd6);
    let odd4 = add(sub(times(z12, C1_082), z5), odd5);
    [
        add(even[0], odd7),
        add(even[1], odd6),
        add(even[2], odd5),
        sub(even[3], odd4),
        add(even[3], odd4),
        sub(even[2], odd5),
        sub(even[1], odd6),
        sub(even[0], odd7),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn samples(blocks: &[Block], multipliers: &Multipliers, plain: bool) -> Vec<u8> {
        let mut samples = vec![0; blocks.len() * 64];
        if plain {
            inverse_plain(BlockRow {
                blocks,
                multipliers: &multipliers.0,
                samples: &mut samples,
            });
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
            prop_assert_eq!(
                samples(&all[..blocks], &multipliers, false),
                samples(&all[..blocks], &multipliers, true)
            );
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
            let sum: f64 = (0..64)
                .map(|k| f64::from(block[k]) * wave(k / 8, y) * wave(k % 8, x) / 4.0)
                .sum();
            let expected = (sum + 128.0).clamp(0.0, 255.0);
            assert!(
                (f64::from(got) - expected).abs() < 5.0,
                "{place}: {got} {expected}"
            );
        }
    }
}
