//! What the numbers of a product's operands are.

use super::level::{SimdLevel, Tile};
use super::tile_layout::{PAIRS, SIDE};
use super::tile_unit::TileUnit;

/// What the numbers of a product's operands are, and what multiplies them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operands {
    /// f32, multiplied in registers.
    Single,
    /// Pairs of bfloat16 numbers, each in the place of one f32, multiplied in registers.
    Pairs,
    /// The same pairs, multiplied in tiles.
    Tiles(TileUnit),
}

impl Operands {
    /// The sums that are computed together.
    pub(crate) fn tile(self, level: SimdLevel) -> Tile {
        match self {
            Self::Single | Self::Pairs => level.tile(),
            Self::Tiles(_) => Tile {
                rows: SIDE,
                columns: SIDE,
            },
        }
    }

    /// How many numbers take the place of one f32.
    #[inline(always)]
    pub(crate) fn numbers(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Pairs | Self::Tiles(_) => 2,
        }
    }

    /// The places of f32 that so many numbers take.
    #[inline(always)]
    pub(crate) fn places(self, numbers: usize) -> usize {
        numbers.div_ceil(self.numbers())
    }

    /// The rows of a panel for so many places of a row of the left operand: zeros behind the last
    /// one make tiles whole.
    pub(crate) fn panel_rows(self, places: usize) -> usize {
        match self {
            Self::Single | Self::Pairs => places,
            Self::Tiles(_) => places.next_multiple_of(PAIRS),
        }
    }
}
