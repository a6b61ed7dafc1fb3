//! The accurate integer inverse transform of libjpeg (`jidctint`): Loeffler, Ligtenberg and
//! Moschytz's algorithm with constants of 13 bits, rounded after the columns and after the rows.

use std::num::Wrapping;

use super::plain::transposed;
use crate::coefficients::Block;

const CONSTANT_BITS: u32 = 13;
/// Fractional bits between the columns and the rows.
const COLUMN_BITS: u32 = 2;

pub(super) fn inverse_block(block: &Block, steps: &[i16; 64]) -> [[u8; 8]; 8] {
    let mut lines = [[0; 8]; 8];
    for (line, y) in lines.iter_mut().zip(0..) {
        for x in 0..8 {
            line[x] = block[y * 8 + x].wrapping_mul(steps[y * 8 + x]);
        }
    }
    let rows = transposed(transform::<{ CONSTANT_BITS - COLUMN_BITS }>(lines));
    // Both passes scale by the square root of 8.
    let samples = transform::<{ CONSTANT_BITS + COLUMN_BITS + 3 }>(rows);
    transposed(samples).map(|row| row.map(|value| (value.clamp(-128, 127) + 128) as u8))
}

/// 1-dimensional transforms down the columns of eight rows, without their last `SHIFT` bits.
/// Numbers keep to 16 bits between the passes, as in libjpeg's vector code.
fn transform<const SHIFT: u32>(rows: [[i16; 8]; 8]) -> [[i16; 8]; 8] {
    let mut out = [[0; 8]; 8];
    for x in 0..8 {
        let column = transform_column(rows.map(|row| Wrapping(i32::from(row[x]))));
        for (row, Wrapping(value)) in out.iter_mut().zip(column) {
            let rounded = value.wrapping_add(1 << (SHIFT - 1)) >> SHIFT;
            row[x] = rounded.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        }
    }
    out
}

/// Eight values times 2^13. Each constant is a sum of cosines, named by its value.
fn transform_column(c: [Wrapping<i32>; 8]) -> [Wrapping<i32>; 8] {
    let constant = |value: f64| Wrapping((value * f64::from(1 << CONSTANT_BITS)).round() as i32);
    let shared = (c[2] + c[6]) * constant(0.541_196_100);
    let low = shared - c[6] * constant(1.847_759_065);
    let high = shared + c[2] * constant(0.765_366_865);
    let scale = Wrapping(1 << CONSTANT_BITS);
    let (sum, difference) = ((c[0] + c[4]) * scale, (c[0] - c[4]) * scale);
    let even = [sum + high, difference + low, difference - low, sum - high];

    let all = (c[7] + c[3] + c[5] + c[1]) * constant(1.175_875_602);
    let outer = (c[7] + c[1]) * constant(0.899_976_223);
    let inner = (c[5] + c[3]) * constant(2.562_915_447);
    let first = all - (c[7] + c[3]) * constant(1.961_570_560);
    let second = all - (c[5] + c[1]) * constant(0.390_180_644);
    let odd = [
        c[1] * constant(1.501_321_110) - outer + second,
        c[3] * constant(3.072_711_026) - inner + first,
        c[5] * constant(2.053_119_869) - inner + second,
        c[7] * constant(0.298_631_336) - outer + first,
    ];
    std::array::from_fn(|y| match y {
        0..4 => even[y] + odd[y],
        _ => even[7 - y] - odd[7 - y],
    })
}
