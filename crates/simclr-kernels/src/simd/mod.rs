//! The only module with `unsafe` code: safe wrappers around code that is compiled for each
//! instruction set and chosen at run time.
#![allow(unsafe_code)]

mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512_bf16;
mod bfloat16;
mod bfloat16_tiles;
mod blocks;
mod level;
mod microkernel;
mod multiply;
mod numbers;
mod operands;
mod outer_product;
mod pairs;
mod prefetch;
mod row_table;
mod scratch;
mod tile_epilogue;
mod tile_layout;
mod tile_unit;
mod transpose;
mod vector;

pub(crate) use amx::Amx;
pub(crate) use bfloat16::{
    Part, interleave, interleave_rows, pair, pair_rows, pair_vectors, round_to_pairs, unpack,
};
pub(crate) use blocks::{BlockMut, fill_beside, fill_blocks, fill_map_blocks, whole};
pub use level::SimdLevel;
pub(crate) use level::{SIMD_LEVEL, WIDEST, fn_per_level, has_avx512_bf16, is_intel};
pub(crate) use multiply::{add_outer_products, multiply};
pub(crate) use numbers::{Format, Numbers, Pairs, Vectors};
pub(crate) use operands::{Operands, Split};
pub(crate) use outer_product::{FilterTile, OuterProducts};
pub(crate) use prefetch::prefetch;
pub(crate) use row_table::RowTable;
pub(crate) use scratch::{Scratch, odd_lines};
pub(crate) use tile_epilogue::TileEpilogue;
pub(crate) use tile_layout::{BLOCK, OPERAND, PAIRS, SIDE};
pub(crate) use tile_unit::TileUnit;
pub(crate) use transpose::{transpose, transpose_strided};
pub(crate) use vector::{load_from as load, load_strided, store_strided, store_to as store};
