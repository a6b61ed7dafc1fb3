//! The numbers of a whole map.

use std::ops::Range;

use super::chunks::chunks;
use crate::memory::{self, Buffer};
use crate::simd::{
    BlockMut, Format, Numbers, SimdLevel, fill_blocks, fill_map_blocks, fn_per_level,
    round_to_pairs, unpack, whole,
};

/// The numbers of a whole map, or of its gradient.
#[derive(Debug)]
pub(crate) struct MapBuffer {
    format: Format,
    places: Buffer,
}

impl MapBuffer {
    pub(super) fn new(format: Format, places: Buffer) -> Self {
        Self { format, places }
    }

    /// A map of so many columns whose blocks are written in parallel, see [`fill_map_blocks`].
    pub(super) fn fill<R: Send>(
        format: Format,
        columns: usize,
        row_blocks: &[Range<usize>],
        column_blocks: &[Range<usize>],
        work: impl Fn(usize, usize, BlockMut<'_>) -> R + Sync,
    ) -> (Self, Vec<R>) {
        let (places, results) = fill_map_blocks(format, columns, row_blocks, column_blocks, work);
        (Self { format, places }, results)
    }

    /// Those numbers, rounded if the format asks for it.
    pub(super) fn of(level: SimdLevel, format: Format, numbers: &[f32]) -> Self {
        let places = match format {
            Format::Single => memory::copy(numbers),
            Format::Pairs => {
                let chunks = chunks(numbers.len() / 2, 2);
                let work = |chunk: usize, _: usize, mut block: BlockMut<'_>| {
                    let Range { start, end } = chunks[chunk];
                    round(level, &numbers[2 * start..2 * end], block.all_mut());
                };
                fill_blocks(1, &chunks, &whole(1), work).0
            }
        };
        Self { format, places }
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    pub(super) fn numbers(&self) -> Numbers<'_> {
        Numbers::new(self.format, &self.places)
    }

    /// The places of f32 that the numbers are in.
    pub(super) fn places_mut(&mut self) -> &mut [f32] {
        &mut self.places
    }

    /// The numbers in a format.
    pub(super) fn into_format(self, level: SimdLevel, format: Format) -> Self {
        if self.format == format {
            return self;
        }
        Self::of(level, format, &self.into_single(level))
    }

    /// The numbers as f32.
    pub(super) fn into_single(self, level: SimdLevel) -> Buffer {
        match self.numbers() {
            Numbers::Single(_) => self.places,
            pairs => unpacked(level, pairs),
        }
    }
}

/// The numbers as f32.
pub(super) fn unpacked(level: SimdLevel, numbers: Numbers<'_>) -> Buffer {
    match numbers {
        Numbers::Single(numbers) => memory::copy(numbers),
        Numbers::Pairs(pairs) => {
            let chunks = chunks(pairs.len(), 2);
            let work = |chunk: usize, _: usize, mut block: BlockMut<'_>| {
                unpack_chunk(level, &pairs[chunks[chunk].clone()], block.all_mut());
            };
            fill_blocks(2, &chunks, &whole(2), work).0
        }
    }
}

fn_per_level! {
    fn round<'a>(numbers: &'a [f32], pairs: &'a mut [f32]) -> () {
        round_to_pairs(numbers.iter().copied(), pairs);
    }
}

fn_per_level! {
    fn unpack_chunk<'a>(pairs: &'a [f32], numbers: &'a mut [f32]) -> () {
        unpack(pairs, numbers);
    }
}
