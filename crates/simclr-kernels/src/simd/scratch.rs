//! Memory of one thread that packed operands are written to.

/// What one store of the widest registers writes.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

const LANES: usize = 16;

/// The next number of places that is an odd number of cache lines: rows so far apart do not
/// fall on one another in the caches.
pub(crate) fn odd_lines(places: usize) -> usize {
    let lines = places.div_ceil(LANES);
    (lines + 1 - lines % 2) * LANES
}

/// Numbers that begin at the start of a cache line, so that no load of a register's width
/// touches two lines.
#[derive(Debug, Default)]
pub(crate) struct Scratch(Vec<Line>);

impl Scratch {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// What was last written.
    pub(crate) fn numbers(&self) -> &[f32] {
        // SAFETY: a line is LANES numbers and nothing else, and lines lie side by side.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LANES) }
    }

    /// Room for `len` numbers, of any value.
    pub(crate) fn room(&mut self, len: usize) -> &mut [f32] {
        let lines = len.div_ceil(LANES);
        if self.0.len() < lines {
            self.0.resize(lines, Line([0.0; LANES]));
        }
        // SAFETY: as in `numbers`.
        let numbers = unsafe {
            std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast::<f32>(), self.0.len() * LANES)
        };
        &mut numbers[..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_numbers_of_lines() {
        assert_eq!([1, 16, 17, 32, 48].map(odd_lines), [16, 16, 48, 48, 48]);
    }

    #[test]
    fn lines_begin_at_their_boundary() {
        let mut scratch = Scratch::new();
        for len in [1, 100, 7] {
            let room = scratch.room(len);
            assert_eq!(room.len(), len);
            assert_eq!(room.as_ptr().align_offset(64), 0);
        }
        assert!(scratch.room(0).is_empty());
    }
}
