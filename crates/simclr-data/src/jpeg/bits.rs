//! Bits of entropy-coded data, most significant first, byte stuffing undone.

/// A number of bits that no file has.
const UNKNOWN: i64 = i64::MAX;

/// Reads bits up to the next marker; after it there are only zeros.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    position: usize,
    buffer: u64,
    /// Valid bits, at the top of `buffer`.
    count: u32,
    /// Bits left that the file really has; until its end is known, more than any
    /// file has.
    real: i64,
}

/// Whether one of four bytes is `FF`.
fn has_marker_byte(word: u32) -> bool {
    // A byte of the complement is 0 where subtracting 1 borrows from its top bit.
    (!word).wrapping_sub(0x0101_0101) & word & 0x8080_8080 != 0
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8], position: usize) -> Self {
        Self {
            data,
            position,
            buffer: 0,
            count: 0,
            real: UNKNOWN,
        }
    }

    /// Makes at least 32 bits available.
    #[inline]
    fn fill(&mut self) {
        let next = self
            .data
            .get(self.position..)
            .and_then(|rest| rest.first_chunk::<4>());
        match next.map(|bytes| u32::from_be_bytes(*bytes)) {
            Some(word) if !has_marker_byte(word) => {
                self.buffer |= u64::from(word) << (32 - self.count);
                self.count += 32;
                self.position += 4;
            }
            _ => self.fill_slowly(),
        }
    }

    fn fill_slowly(&mut self) {
        while self.count <= 56 {
            let byte = match (
                self.data.get(self.position),
                self.data.get(self.position + 1),
            ) {
                (Some(0xFF), Some(0)) => {
                    self.position += 2;
                    0xFF
                }
                (Some(0xFF), _) | (None, _) => {
                    self.real = self.real.min(i64::from(self.count));
                    0
                }
                (Some(&byte), _) => {
                    self.position += 1;
                    byte
                }
            };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next 16 bits, not yet consumed.
    #[inline]
    pub(super) fn peek(&mut self) -> u16 {
        if self.count < 32 {
            self.fill();
        }
        (self.buffer >> 48) as u16
    }

    /// Consumes bits that [`Self::peek`] has shown.
    #[inline]
    pub(super) fn consume(&mut self, bits: u32) {
        self.buffer <<= bits;
        self.count -= bits;
        if self.real != UNKNOWN {
            self.real -= i64::from(bits);
        }
    }

    /// The next `bits` (at most 16) as a number.
    #[inline]
    pub(super) fn take(&mut self, bits: u32) -> u32 {
        let value = u32::from(self.peek()) >> (16 - bits);
        self.consume(bits);
        value
    }

    /// A number of `bits` bits, negative ones coded by a leading 0.
    #[inline]
    pub(super) fn take_signed(&mut self, bits: u32) -> i32 {
        if bits == 0 {
            return 0;
        }
        let value = self.take(bits) as i32;
        if value < 1 << (bits - 1) {
            value - (1 << bits) + 1
        } else {
            value
        }
    }

    /// Whether more bits were consumed than the file has.
    pub(super) fn overran(&self) -> bool {
        self.real < 0
    }

    /// The position of the next marker that is not a restart marker.
    pub(super) fn next_marker(&self) -> Option<usize> {
        self.marker(|code| !(0xD0..=0xD7).contains(&code))
    }

    /// Continues after the next restart marker; false if there is none.
    pub(super) fn restart(&mut self) -> bool {
        let Some(position) = self.marker(|_| true) else {
            return false;
        };
        if !matches!(self.data.get(position + 1), Some(0xD0..=0xD7)) {
            return false;
        }
        *self = Self::new(self.data, position + 2);
        true
    }

    fn marker(&self, wanted: impl Fn(u8) -> bool) -> Option<usize> {
        let rest = self.data.get(self.position..)?;
        let offset = rest
            .windows(2)
            .position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF) && wanted(pair[1]))?;
        Some(self.position + offset)
    }
}
