//! The transform of two blocks at a time: each vector holds a row of the one in its
//! lower half and the same row of the other in its upper half.

use std::arch::x86_64::__m256i;

use pulp::x86::V3;
use pulp::{NullaryFnOnce, cast};

use super::algorithm::{Operations, transform};
use crate::coefficients::Block;

pub(super) fn inverse(simd: V3, blocks: &[Block], multipliers: &[i16; 64], samples: &mut [u8]) {
    simd.vectorize(Pairs {
        simd,
        blocks,
        multipliers,
        samples,
    });
}

struct Pairs<'a> {
    simd: V3,
    blocks: &'a [Block],
    multipliers: &'a [i16; 64],
    samples: &'a mut [u8],
}

impl NullaryFnOnce for Pairs<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let length = self.blocks.len() * 8;
        let mut multipliers = [cast([0i16; 16]); 8];
        let (rows, _) = self.multipliers.as_chunks::<8>();
        for (multiplier, row) in multipliers.iter_mut().zip(rows) {
            *multiplier = side_by_side(row, row);
        }
        for (pair, x) in self.blocks.chunks(2).zip((0..).step_by(16)) {
            let (first, second) = match pair {
                [first, second] => (first, second),
                [alone, ..] => (alone, alone),
                [] => return,
            };
            let lines = transform_pair(self.simd, first, second, &multipliers);
            let width = pair.len() * 8;
            for (line, samples) in lines.iter().zip(self.samples.chunks_exact_mut(length)) {
                samples[x..x + width].copy_from_slice(&line[..width]);
            }
        }
    }
}

type Lines = [__m256i; 8];

#[inline(always)]
fn side_by_side(first: &[i16; 8], second: &[i16; 8]) -> __m256i {
    cast([*first, *second])
}

/// The eight rows of samples of two blocks.
#[inline(always)]
fn transform_pair(simd: V3, first: &Block, second: &Block, multipliers: &Lines) -> [[u8; 16]; 8] {
    let (first, _) = first.as_chunks::<8>();
    let (second, _) = second.as_chunks::<8>();
    let mut lines = *multipliers;
    for (y, line) in lines.iter_mut().enumerate() {
        let coefficients = side_by_side(&first[y], &second[y]);
        *line = simd.avx2._mm256_mullo_epi16(coefficients, *line);
    }
    let rows = transposed(simd, transform(simd, lines));
    let lines = transposed(simd, transform(simd, rows));
    let mut samples = [[0; 16]; 8];
    let (pairs, _) = samples.as_chunks_mut::<2>();
    for (pair, lines) in pairs.iter_mut().zip(lines.as_chunks::<2>().0) {
        let upper = simd.avx2._mm256_srai_epi16::<5>(lines[0]);
        let lower = simd.avx2._mm256_srai_epi16::<5>(lines[1]);
        // First block's rows, second block's rows; then row by row.
        let packed = simd.avx2._mm256_packs_epi16(upper, lower);
        let centred = simd.avx2._mm256_add_epi8(packed, cast([128u8; 32]));
        *pair = cast(simd.avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(centred));
    }
    samples
}

impl Operations for V3 {
    type Row = __m256i;

    #[inline(always)]
    fn add(self, a: __m256i, b: __m256i) -> __m256i {
        self.avx2._mm256_add_epi16(a, b)
    }

    #[inline(always)]
    fn sub(self, a: __m256i, b: __m256i) -> __m256i {
        self.avx2._mm256_sub_epi16(a, b)
    }

    /// The upper half of a product of 32 bits.
    #[inline(always)]
    fn times(self, value: __m256i, constant: i16) -> __m256i {
        let shifted = self.avx2._mm256_slli_epi16::<2>(value);
        let constant = cast([constant << 6; 16]);
        self.avx2._mm256_mulhi_epi16(shifted, constant)
    }
}

/// Exchanges rows and columns in both halves.
#[inline(always)]
fn transposed(simd: V3, a: Lines) -> Lines {
    let s = simd.avx2;
    let b = [
        s._mm256_unpacklo_epi16(a[0], a[1]),
        s._mm256_unpackhi_epi16(a[0], a[1]),
        s._mm256_unpacklo_epi16(a[2], a[3]),
        s._mm256_unpackhi_epi16(a[2], a[3]),
        s._mm256_unpacklo_epi16(a[4], a[5]),
        s._mm256_unpackhi_epi16(a[4], a[5]),
        s._mm256_unpacklo_epi16(a[6], a[7]),
        s._mm256_unpackhi_epi16(a[6], a[7]),
    ];
    // Two columns each: of rows 0 to 3, then of rows 4 to 7.
    let c = [
        s._mm256_unpacklo_epi32(b[0], b[2]),
        s._mm256_unpackhi_epi32(b[0], b[2]),
        s._mm256_unpacklo_epi32(b[1], b[3]),
        s._mm256_unpackhi_epi32(b[1], b[3]),
        s._mm256_unpacklo_epi32(b[4], b[6]),
        s._mm256_unpackhi_epi32(b[4], b[6]),
        s._mm256_unpacklo_epi32(b[5], b[7]),
        s._mm256_unpackhi_epi32(b[5], b[7]),
    ];
    [
        s._mm256_unpacklo_epi64(c[0], c[4]),
        s._mm256_unpackhi_epi64(c[0], c[4]),
        s._mm256_unpacklo_epi64(c[1], c[5]),
        s._mm256_unpackhi_epi64(c[1], c[5]),
        s._mm256_unpacklo_epi64(c[2], c[6]),
        s._mm256_unpackhi_epi64(c[2], c[6]),
        s._mm256_unpacklo_epi64(c[3], c[7]),
        s._mm256_unpackhi_epi64(c[3], c[7]),
    ]
}
