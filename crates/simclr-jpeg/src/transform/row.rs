//! The input and output of the transform.

use crate::frame::Block;

/// A row of blocks, and where its eight rows of samples belong: one after the other,
/// each of eight samples per block.
pub(super) struct BlockRow<'a> {
    pub(super) blocks: &'a [Block],
    pub(super) multipliers: &'a [i16; 64],
    pub(super) samples: &'a mut [u8],
}
