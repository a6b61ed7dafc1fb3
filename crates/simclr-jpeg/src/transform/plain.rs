//! The transform of one block at a time, without vector instructions.

use super::algorithm::{Operations, transform};
use crate::coefficients::Block;

/// The samples of a row of blocks, each of which is transformed alone.
pub(super) fn inverse(
    blocks: &[Block],
    samples: &mut [u8],
    inverse_block: impl Fn(&Block) -> [[u8; 8]; 8],
) {
    let length = blocks.len() * 8;
    for (x, block) in blocks.iter().enumerate() {
        let pixels = inverse_block(block);
        for (pixels, line) in pixels.iter().zip(samples.chunks_exact_mut(length)) {
            line[x * 8..x * 8 + 8].copy_from_slice(pixels);
        }
    }
}

pub(super) fn inverse_block(block: &Block, multipliers: &[i16; 64]) -> [[u8; 8]; 8] {
    let mut lines = [[0; 8]; 8];
    for (line, y) in lines.iter_mut().zip(0..) {
        for x in 0..8 {
            line[x] = block[y * 8 + x].wrapping_mul(multipliers[y * 8 + x]);
        }
    }
    let rows = transposed(transform(Plain, lines));
    transposed(transform(Plain, rows)).map(|row| row.map(to_sample))
}

fn to_sample(value: i16) -> u8 {
    ((value >> 5).clamp(-128, 127) + 128) as u8
}

pub(super) fn transposed(lines: [[i16; 8]; 8]) -> [[i16; 8]; 8] {
    std::array::from_fn(|j| std::array::from_fn(|i| lines[i][j]))
}

/// Eight numbers: the columns of a block side by side.
#[derive(Clone, Copy)]
struct Plain;

impl Operations for Plain {
    type Row = [i16; 8];

    fn add(self, a: Self::Row, b: Self::Row) -> Self::Row {
        std::array::from_fn(|lane| a[lane].wrapping_add(b[lane]))
    }

    fn sub(self, a: Self::Row, b: Self::Row) -> Self::Row {
        std::array::from_fn(|lane| a[lane].wrapping_sub(b[lane]))
    }

    fn times(self, value: Self::Row, constant: i16) -> Self::Row {
        value.map(|value| ((i32::from(value << 2) * i32::from(constant)) >> 10) as i16)
    }
}
