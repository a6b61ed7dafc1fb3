//! The fast integer inverse transform of libjpeg (`jidctfst`): Arai, Agui and
//! Nakajima's scaled algorithm with 8-bit constants and without rounding.

use super::frame::{Block, Component};

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

/// Steps of 8 samples, one per column of the block.
type Lanes = [i32; 8];

/// The quantisation table with the algorithm's scale factors, in 1/4.
fn multipliers(quantization: &[u16; 64]) -> [i32; 64] {
    let mut multipliers = [0; 64];
    for (place, (multiplier, &step)) in multipliers.iter_mut().zip(quantization).enumerate() {
        let scale = (SCALES[place / 8] * SCALES[place % 8] * 16384.0).round() as i64;
        *multiplier = ((i64::from(step) * scale + (1 << 11)) >> 12) as i32;
    }
    multipliers
}

/// All samples of a component, in rows of `stride * 8`.
pub(super) fn samples(component: &Component) -> Vec<u8> {
    let multipliers = multipliers(&component.quantization.unwrap_or([0; 64]));
    let row_length = component.stride * 8;
    let mut samples = vec![0; component.blocks.len() * 64];
    let rows = component.blocks.chunks_exact(component.stride);
    for (blocks, band) in rows.zip(samples.chunks_exact_mut(row_length * 8)) {
        for (x, block) in blocks.iter().enumerate() {
            let pixels = inverse(block, &multipliers);
            for (row, line) in pixels.iter().zip(band.chunks_exact_mut(row_length)) {
                line[x * 8..x * 8 + 8].copy_from_slice(row);
            }
        }
    }
    samples
}

fn inverse(block: &Block, multipliers: &[i32; 64]) -> [[u8; 8]; 8] {
    let to_sample = |value: i32| ((value >> 5) + 128).clamp(0, 255) as u8;
    if block[1..].iter().all(|&coefficient| coefficient == 0) {
        let dc = i32::from(block[0]).wrapping_mul(multipliers[0]);
        return [[to_sample(dc); 8]; 8];
    }
    let mut lines = [[0; 8]; 8];
    for (place, (&coefficient, &multiplier)) in block.iter().zip(multipliers).enumerate() {
        lines[place / 8][place % 8] = i32::from(coefficient).wrapping_mul(multiplier);
    }
    let rows = transposed(&pass(&lines));
    transposed(&pass(&rows)).map(|row| row.map(to_sample))
}

fn transposed(lines: &[Lanes; 8]) -> [Lanes; 8] {
    let mut columns = [[0; 8]; 8];
    for (i, line) in lines.iter().enumerate() {
        for (j, &value) in line.iter().enumerate() {
            columns[j][i] = value;
        }
    }
    columns
}

/// 1-dimensional transforms down the columns of eight lines.
#[inline(always)]
fn pass(lines: &[Lanes; 8]) -> [Lanes; 8] {
    let mut output = [[0; 8]; 8];
    for lane in 0..8 {
        let column = transform(lines.map(|line| line[lane]));
        for (line, value) in output.iter_mut().zip(column) {
            line[lane] = value;
        }
    }
    output
}

/// `value * constant / 256`, rounded down.
#[inline(always)]
fn times(value: i32, constant: i32) -> i32 {
    value.wrapping_mul(constant) >> 8
}

/// sqrt(2), and the other constants of the algorithm, times 256.
const C1_414: i32 = 362;
const C1_847: i32 = 473;
const C1_082: i32 = 277;
const C2_613: i32 = 669;

#[inline(always)]
fn transform(input: Lanes) -> Lanes {
    // Sums may exceed 32 bits only in files that no encoder writes; they wrap.
    let add = i32::wrapping_add;
    let sub = i32::wrapping_sub;
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
    let odd6 = sub(add(times(z10, -C2_613), z5), odd7);
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
