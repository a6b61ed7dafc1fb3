//! Products of pairs of bfloat16 numbers by the instruction of AVX512-BF16.

use std::arch::x86_64::{__m512, __m512bh, _mm512_dpbf16_ps};

use pulp::x86::V4;

use super::blocks::BlockMut;
use super::level::{has_avx512_bf16, unsupported};
use super::microkernel::{Terms, multiply_tiles};
use super::outer_product::{OuterProducts, add_tile};
use super::row_table::RowTable;
use super::tile_epilogue::TileEpilogue;

/// Products of pairs, for a function compiled for AVX512-BF16.
struct DotProducts;

impl Terms<V4> for DotProducts {
    #[inline(always)]
    fn add(_: V4, left: pulp::f32x16, right: pulp::f32x16, sum: pulp::f32x16) -> pulp::f32x16 {
        // SAFETY: all of these are 512 bits of plain data; `V4` and the function below
        // vouch for the instruction.
        unsafe {
            let [left, right]: [__m512bh; 2] = std::mem::transmute([left, right]);
            let sum: __m512 = std::mem::transmute(sum);
            std::mem::transmute(_mm512_dpbf16_ps(sum, left, right))
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512bf16")]
fn multiply_compiled<E: TileEpilogue>(
    simd: V4,
    table: &RowTable<'_>,
    panels: &[f32],
    block: &mut BlockMut<'_>,
    epilogues: &mut [E],
) {
    multiply_tiles::<V4, DotProducts, 12, 2, E>(simd, table, panels, block, epilogues);
}

/// [`multiply`](super::multiply) for pairs, in tiles of 12 x 32.
pub(super) fn multiply<E: TileEpilogue>(
    table: &RowTable<'_>,
    panels: &[f32],
    block: &mut BlockMut<'_>,
    epilogues: &mut [E],
) {
    let Some(simd) = V4::try_new().filter(|_| has_avx512_bf16()) else {
        unsupported((16, 12, 32))
    };
    // SAFETY: the processor has what the function is compiled for.
    unsafe { multiply_compiled(simd, table, panels, block, epilogues) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512bf16")]
fn add_outer_products_compiled(
    simd: V4,
    products: OuterProducts<'_>,
    target: &mut [f32],
    stride: usize,
    size: (usize, usize),
) {
    match products.tile_rows {
        12 => add_tile::<V4, DotProducts, 12, 2>(simd, products, target, stride, size),
        8 => add_tile::<V4, DotProducts, 8, 2>(simd, products, target, stride, size),
        rows => unsupported((16, rows, 0)),
    }
}

/// [`add_outer_products`](super::add_outer_products) for pairs.
pub(super) fn add_outer_products(
    products: OuterProducts<'_>,
    target: &mut [f32],
    stride: usize,
    size: (usize, usize),
) {
    let Some(simd) = V4::try_new().filter(|_| has_avx512_bf16()) else {
        unsupported((16, products.tile_rows, 0))
    };
    // SAFETY: the processor has what the function is compiled for.
    unsafe { add_outer_products_compiled(simd, products, target, stride, size) }
}
