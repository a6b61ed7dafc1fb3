//! How the operands of bfloat16 tile products lie.
//!
//! Sums are computed in blocks of 32 x 32, 2 x 2 tiles of AMX. Both operands lie in steps of 32
//! terms, that is of 16 pairs, each pair in the place of one f32: the left one as
//! `[step][row][pair]`, the right one as `[step][pair][column]`. So a tile (16 rows of 64 bytes)
//! is read from 1 or 2 KiB that lie together, and no line is read twice.

/// Rows and columns of a block of sums.
pub(crate) const SIDE: usize = 32;

/// Pairs of a step.
pub(crate) const PAIRS: usize = 16;

/// Places of an operand in a step.
pub(crate) const OPERAND: usize = SIDE * PAIRS;

/// Sums of a block, row by row.
pub(crate) const BLOCK: usize = SIDE * SIDE;
