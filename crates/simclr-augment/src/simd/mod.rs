//! Loops compiled several times, for the vector instructions of the processor that
//! runs them, and the few steps of which the compiler does not find the good form.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use pulp::NullaryFnOnce;

pub(crate) use portable::Portable;

/// Values that [`Level::resample`] makes at a time.
pub(crate) const GROUP: usize = 8;
/// Taps of a value.
pub(crate) const TAPS: usize = 4;
/// Values behind the last one of a row that must be readable.
pub(crate) const MARGIN: usize = 32;

/// A group of output columns: which columns of the source they are made of.
pub(crate) struct Group {
    /// The leftmost source column.
    pub(crate) first: usize,
    /// How many columns from the first on are needed.
    pub(crate) reach: usize,
    /// Per tap and output column: the source column, counted from the first.
    pub(crate) places: [[i32; GROUP]; TAPS],
    /// What each weighs.
    pub(crate) weights: [[f32; GROUP]; TAPS],
}

/// The vector instructions at hand. Every level gives the same bits.
pub(crate) trait Level: Copy {
    /// The first `COUNT` (2 or 4) taps of a group of columns, weighted and summed in
    /// pairs. The row has [`MARGIN`] values behind the group's last source column.
    fn resample<const COUNT: usize>(self, row: &[f32], group: &Group, output: &mut [f32; GROUP]);

    /// Bytes of pixels to numbers, a plane for each of the three channels.
    fn split_bytes(self, pixels: &[[u8; 3]], planes: [&mut [f32]; 3]);
}

/// A piece of work made of plain loops and of a level's steps.
///
/// It is a type of its own rather than a closure because its `call` can be marked
/// `#[inline(always)]` down to the last loop. The compiler wraps a closure in a
/// function of its own that is compiled once, without the wider instructions.
pub(crate) trait Kernel {
    type Output;
    fn call<L: Level>(self, level: L) -> Self::Output;
}

/// A kernel whose level is decided.
struct Leveled<L, K> {
    level: L,
    kernel: K,
}

impl<L: Level, K: Kernel> NullaryFnOnce for Leveled<L, K> {
    type Output = K::Output;

    #[inline(always)]
    fn call(self) -> K::Output {
        self.kernel.call(self.level)
    }
}

/// Runs the kernel in the version for this processor, chosen at run time.
pub(crate) fn vectorized<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(level) = pulp::x86::V4::try_new() {
        return level.vectorize(Leveled { level, kernel });
    }
    vectorized_short(kernel)
}

/// As [`vectorized`], but with vectors of 32 bytes at most: for loops that read from
/// anywhere, where longer vectors would straddle two lines of the cache each time.
pub(crate) fn vectorized_short<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(level) = pulp::x86::V3::try_new() {
        return level.vectorize(Leveled { level, kernel });
    }
    pulp::Arch::new().dispatch(Leveled {
        level: Portable,
        kernel,
    })
}

/// Runs the kernel in every version that this processor has, the portable one first.
#[cfg(test)]
pub(crate) fn on_every_level<K: Kernel>(mut kernel: impl FnMut() -> K) -> Vec<K::Output> {
    let mut outputs = vec![kernel().call(Portable)];
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(level) = pulp::x86::V3::try_new() {
            let kernel = kernel();
            outputs.push(level.vectorize(Leveled { level, kernel }));
        }
        if let Some(level) = pulp::x86::V4::try_new() {
            let kernel = kernel();
            outputs.push(level.vectorize(Leveled { level, kernel }));
        }
    }
    outputs
}

/// Room for numbers, the first of which stands at the beginning of a line of the
/// cache, so that vectors of rows of whole lines never straddle two.
pub(crate) struct Lines {
    values: Vec<f32>,
    start: usize,
}

/// Numbers in a line of the cache.
pub(crate) const LINE: usize = 16;

impl Lines {
    pub(crate) fn zeros(count: usize) -> Self {
        let values = vec![0.0; count + LINE];
        let start = values.as_ptr().align_offset(LINE * size_of::<f32>()) % LINE;
        Self { values, start }
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> &[f32] {
        &self.values[self.start..]
    }

    #[inline(always)]
    pub(crate) fn get_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Resample<'a> {
        row: &'a [f32],
        group: &'a Group,
    }

    impl Kernel for Resample<'_> {
        type Output = [[f32; GROUP]; 2];

        #[inline(always)]
        fn call<L: Level>(self, level: L) -> Self::Output {
            let mut output = [[0.0; GROUP]; 2];
            level.resample::<2>(self.row, self.group, &mut output[0]);
            level.resample::<4>(self.row, self.group, &mut output[1]);
            output
        }
    }

    struct Split<'a>(&'a [[u8; 3]]);

    impl Kernel for Split<'_> {
        type Output = [Vec<f32>; 3];

        #[inline(always)]
        fn call<L: Level>(self, level: L) -> Self::Output {
            let mut planes = [0, 1, 2].map(|_| vec![0.0; self.0.len()]);
            level.split_bytes(self.0, planes.each_mut().map(Vec::as_mut_slice));
            planes
        }
    }

    proptest! {
        #[test]
        fn levels_resample_alike(
            row in prop::collection::vec(-300.0f32..300.0, 90 + MARGIN),
            places in prop::array::uniform4(prop::array::uniform8(0i32..40)),
            weights in prop::array::uniform4(prop::array::uniform8(-1.0f32..1.0)),
            first in 0usize..50,
            narrow in prop_oneof![Just(16), Just(32), Just(40)],
        ) {
            let places = places.map(|tap| tap.map(|place| place % narrow));
            let reach = 1 + places.as_flattened().iter().max().map_or(0, |&place| place as usize);
            let group = Group { first, reach, places, weights };
            let outputs = on_every_level(|| Resample { row: &row, group: &group });
            for lane in 0..GROUP {
                let term = |tap: usize| row[first + places[tap][lane] as usize] * weights[tap][lane];
                let (two, rest) = (term(0) + term(1), term(2) + term(3));
                for output in &outputs {
                    prop_assert_eq!(output[0][lane], two);
                    prop_assert_eq!(output[1][lane], two + rest);
                }
            }
        }

        #[test]
        fn levels_split_alike(pixels in prop::collection::vec(any::<[u8; 3]>(), 0..70)) {
            for planes in on_every_level(|| Split(&pixels)) {
                for (i, pixel) in pixels.iter().enumerate() {
                    prop_assert_eq!([0, 1, 2].map(|c| planes[c][i]), pixel.map(f32::from));
                }
            }
        }
    }

    #[test]
    fn lines_begin_at_lines() {
        for count in [1, 16, 1000] {
            let lines = Lines::zeros(count);
            assert_eq!(lines.get().as_ptr() as usize % 64, 0);
            assert!(lines.get().len() >= count);
        }
    }
}
