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

/// Eight numbers that take the same steps side by side: the columns of a block.
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
    let mut samples = vec![0; component.blocks.len() * 64];
    pulp::Arch::new().dispatch(Inverse {
        component,
        multipliers: multipliers(&component.quantization.unwrap_or([0; 64])),
        samples: &mut samples,
    });
    samples
}

/// The transform of a whole component. A type and not a closure, so that its loops
/// are compiled for the processor's vector instructions.
struct Inverse<'a> {
    component: &'a Component,
    multipliers: [i32; 64],
    samples: &'a mut [u8],
}

impl pulp::NullaryFnOnce for Inverse<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let row_length = self.component.stride * 8;
        let rows = self.component.blocks.chunks_exact(self.component.stride);
        for (blocks, band) in rows.zip(self.samples.chunks_exact_mut(row_length * 8)) {
            for (x, block) in blocks.iter().enumerate() {
                let pixels = inverse(block, &self.multipliers);
                for (row, line) in pixels.iter().zip(band.chunks_exact_mut(row_length)) {
                    line[x * 8..x * 8 + 8].copy_from_slice(row);
                }
            }
        }
    }
}

#[inline(always)]
fn to_sample(value: i32) -> u8 {
    ((value >> 5) + 128).clamp(0, 255) as u8
}

#[inline(always)]
fn inverse(block: &Block, multipliers: &[i32; 64]) -> [[u8; 8]; 8] {
    let rest = block[1..]
        .iter()
        .fold(0, |all, &coefficient| all | coefficient);
    if rest == 0 {
        let dc = i32::from(block[0]).wrapping_mul(multipliers[0]);
        return [[to_sample(dc); 8]; 8];
    }
    let mut lines = [[0; 8]; 8];
    for (line, y) in lines.iter_mut().zip(0..) {
        for x in 0..8 {
            line[x] = i32::from(block[y * 8 + x]).wrapping_mul(multipliers[y * 8 + x]);
        }
    }
    let rows = transposed(&transform(&lines));
    transposed(&transform(&rows)).map(|row| row.map(to_sample))
}

#[inline(always)]
fn transposed(lines: &[Lanes; 8]) -> [Lanes; 8] {
    std::array::from_fn(|j| std::array::from_fn(|i| lines[i][j]))
}

// Sums may exceed 32 bits only in files that no encoder writes; they wrap.
#[inline(always)]
fn add(a: Lanes, b: Lanes) -> Lanes {
    std::array::from_fn(|lane| a[lane].wrapping_add(b[lane]))
}

#[inline(always)]
fn sub(a: Lanes, b: Lanes) -> Lanes {
    std::array::from_fn(|lane| a[lane].wrapping_sub(b[lane]))
}

/// `value * constant / 256`, rounded down.
#[inline(always)]
fn times(value: Lanes, constant: i32) -> Lanes {
    value.map(|value| value.wrapping_mul(constant) >> 8)
}

/// sqrt(2), and the other constants of the algorithm, times 256.
const C1_414: i32 = 362;
const C1_847: i32 = 473;
const C1_082: i32 = 277;
const C2_613: i32 = 669;

/// Eight 1-dimensional transforms, each down a column of the lines.
#[inline(always)]
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
