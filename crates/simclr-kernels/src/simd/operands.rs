//! What the numbers of a product's operands are.

use super::bfloat16::Part;
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
    /// f32 numbers as sums of bfloat16 numbers, multiplied in tiles: of a row the pairs of all
    /// high parts, then those of the next ones. Rows are whole steps of a tile.
    SplitTiles(TileUnit, Split),
}

/// How many bfloat16 numbers make up an f32 number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Split {
    Two,
    Three,
}

impl Operands {
    /// The sums that are computed together.
    pub(crate) fn tile(self, level: SimdLevel) -> Tile {
        match self {
            Self::Single | Self::Pairs => level.tile(),
            Self::Tiles(_) | Self::SplitTiles(..) => Tile {
                rows: SIDE,
                columns: SIDE,
            },
        }
    }

    /// How many numbers, or parts of numbers, take the place of one f32.
    #[inline(always)]
    pub(crate) fn numbers(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Pairs | Self::Tiles(_) | Self::SplitTiles(..) => 2,
        }
    }

    /// What the operands have of each number.
    #[inline(always)]
    pub(crate) fn parts(self) -> &'static [Part] {
        match self {
            Self::Single | Self::Pairs | Self::Tiles(_) => &[Part::High],
            Self::SplitTiles(_, Split::Two) => &[Part::High, Part::Middle],
            Self::SplitTiles(_, Split::Three) => &[Part::High, Part::Middle, Part::Low],
        }
    }

    /// The places of f32 that one part of so many numbers takes.
    #[inline(always)]
    pub(crate) fn part_places(self, numbers: usize) -> usize {
        numbers.div_ceil(self.numbers())
    }

    /// The places of f32 that so many numbers take.
    #[inline(always)]
    pub(crate) fn places(self, numbers: usize) -> usize {
        self.parts().len() * self.part_places(numbers)
    }

    /// The rows of a panel for so many places of a row of the left operand: zeros behind the last
    /// one make tiles whole.
    pub(crate) fn panel_rows(self, places: usize) -> usize {
        match self {
            Self::Single | Self::Pairs => places,
            Self::Tiles(_) | Self::SplitTiles(..) => places.next_multiple_of(PAIRS),
        }
    }
}
