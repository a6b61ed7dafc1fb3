//! The transform of one block at a time, without vector instructions.

use super::constants::{C1_082, C1_414, C1_613, C1_847};
use super::row::BlockRow;
use crate::frame::Block;

pub(super) fn inverse(row: BlockRow<'_>) {
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
