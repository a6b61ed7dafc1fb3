//! The numbers of feature maps: f32, or pairs of bfloat16 numbers in the places of f32.

use std::ops::Range;

use pulp::Simd;

use super::bfloat16::{load_pairs, unpack};
use super::prefetch::prefetch;
use super::vector::{load_from, load_strided};

/// What the numbers of a map are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// f32.
    Single,
    /// bfloat16, two in the place of one f32, of an even number of channels.
    Pairs,
}

impl Format {
    /// The places of f32 that so many numbers take.
    #[inline(always)]
    pub(crate) fn places(self, numbers: usize) -> usize {
        match self {
            Self::Single => numbers,
            Self::Pairs => numbers / 2,
        }
    }
}

/// The numbers of a map, or some of them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Numbers<'a> {
    Single(&'a [f32]),
    Pairs(&'a [f32]),
}

impl<'a> Numbers<'a> {
    pub(crate) fn new(format: Format, places: &'a [f32]) -> Self {
        match format {
            Format::Single => Self::Single(places),
            Format::Pairs => Self::Pairs(places),
        }
    }

    pub(crate) fn format(self) -> Format {
        match self {
            Self::Single(_) => Format::Single,
            Self::Pairs(_) => Format::Pairs,
        }
    }

    /// The places of f32 that they are in.
    #[inline(always)]
    pub(crate) fn places(self) -> &'a [f32] {
        match self {
            Self::Single(places) | Self::Pairs(places) => places,
        }
    }

    pub(crate) fn len(self) -> usize {
        match self {
            Self::Single(numbers) => numbers.len(),
            Self::Pairs(pairs) => 2 * pairs.len(),
        }
    }

    /// Some of them; of pairs, whole ones.
    #[inline(always)]
    pub(crate) fn slice(self, range: Range<usize>) -> Self {
        match self {
            Self::Single(numbers) => Self::Single(&numbers[range]),
            Self::Pairs(pairs) => Self::Pairs(&pairs[range.start / 2..range.end / 2]),
        }
    }

    /// As f32: in `stage`, unless they are.
    #[inline(always)]
    pub(crate) fn read<'s>(self, stage: &'s mut Vec<f32>) -> &'s [f32]
    where
        'a: 's,
    {
        match self {
            Self::Single(numbers) => numbers,
            Self::Pairs(pairs) => {
                stage.resize(2 * pairs.len(), 0.0);
                unpack(pairs, stage);
                stage
            }
        }
    }

    /// A part as f32, see [`read`](Self::read). While it is worked on, the next part of as many
    /// numbers is prefetched where this one had to be brought to `stage`: without, the processor
    /// waits for memory each time that it begins one.
    #[inline(always)]
    pub(crate) fn read_part<'s>(self, part: Range<usize>, stage: &'s mut Vec<f32>) -> &'s [f32]
    where
        'a: 's,
    {
        let next = part.end..self.len().min(part.end + part.len());
        let numbers = self.slice(part).read(stage);
        if self.format() == Format::Pairs {
            self.prefetch(next);
        }
        numbers
    }

    /// Writes them as f32.
    #[inline(always)]
    pub(crate) fn copy_to(self, target: &mut [f32]) {
        match self {
            Self::Single(numbers) => target.copy_from_slice(numbers),
            Self::Pairs(pairs) => unpack(pairs, target),
        }
    }

    #[inline(always)]
    pub(crate) fn prefetch(self, range: Range<usize>) {
        prefetch(self.slice(range).places());
    }

    /// A vector of numbers that begins at `at`.
    #[inline(always)]
    pub(crate) fn load<S: Simd>(self, at: usize) -> S::f32s {
        match self {
            Self::Single(numbers) => numbers.vector::<S>(at),
            Self::Pairs(pairs) => Pairs(pairs).vector::<S>(at),
        }
    }
}

/// Numbers that vectors are read from, by code that is compiled for their format.
pub(crate) trait Vectors: Copy {
    /// The vector that begins at the number `at`.
    fn vector<S: Simd>(self, at: usize) -> S::f32s;

    /// Those that begin at `first`, `first + stride` and so on.
    fn vectors<S: Simd, const N: usize>(self, first: usize, stride: usize) -> [S::f32s; N];
}

impl Vectors for &[f32] {
    #[inline(always)]
    fn vector<S: Simd>(self, at: usize) -> S::f32s {
        load_from::<S>(&self[at..])
    }

    #[inline(always)]
    fn vectors<S: Simd, const N: usize>(self, first: usize, stride: usize) -> [S::f32s; N] {
        load_strided::<S, N>(self, first, stride)
    }
}

/// [`Numbers::Pairs`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pairs<'a>(pub(crate) &'a [f32]);

impl Vectors for Pairs<'_> {
    #[inline(always)]
    fn vector<S: Simd>(self, at: usize) -> S::f32s {
        load_pairs::<S>(&self.0[at / 2..])
    }

    #[inline(always)]
    fn vectors<S: Simd, const N: usize>(self, first: usize, stride: usize) -> [S::f32s; N] {
        let mut vectors = [self.vector::<S>(first); N];
        for (index, vector) in vectors.iter_mut().enumerate().skip(1) {
            *vector = self.vector::<S>(first + index * stride);
        }
        vectors
    }
}
