//! The only module with `unsafe` code: safe doors to code that is compiled for
//! the processor at hand and chosen at run time.
#![allow(unsafe_code)]

mod bfloat16;
mod blocks;
mod level;
mod prefetch;
mod scratch;
mod tile;

pub(crate) use bfloat16::{has_bfloat16, pair_rows, round_to_pairs};
pub(crate) use blocks::{BlockMut, fill_beside, fill_blocks, whole};
pub use level::SimdLevel;
pub(crate) use prefetch::prefetch;
pub(crate) use scratch::{Scratch, odd_lines};
pub(crate) use tile::{
    FilterTile, OuterProducts, RowTable, TileEpilogue, add_outer_products, load_from as load,
    multiply, store_to as store,
};
