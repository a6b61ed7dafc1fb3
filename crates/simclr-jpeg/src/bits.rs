//! Bits of entropy-coded data, most significant first.

use memchr::memchr;

use crate::error::{Result, damaged, truncated};

/// Bytes behind the last one that are readable, and zero.
const PADDING: usize = 8;

/// Bytes behind the next bit that a reader may have taken already.
const LOOKAHEAD: usize = 8;

/// The entropy-coded data of a scan, one stretch between two markers at a time, byte
/// stuffing undone.
pub(crate) struct Entropy<'a> {
    data: &'a [u8],
    /// Of the first byte that was not copied; in the end that of the stretch's marker.
    position: usize,
    /// The stretch, or the part of it that fits into the window, and its padding.
    clean: Vec<u8>,
    /// The most bytes that are copied at a time.
    window: usize,
    /// Whether all of the stretch was copied.
    is_complete: bool,
    /// The number of the next restart marker, from 0 to 7.
    next_restart: u8,
}

impl<'a> Entropy<'a> {
    /// The stretch that begins at `position`.
    pub(crate) fn new(data: &'a [u8], position: usize) -> Result<Self> {
        Self::windowed(data, position, usize::MAX)
    }

    /// The stretch that begins at `position`, of which up to `window` bytes are there at a time.
    pub(crate) fn windowed(data: &'a [u8], position: usize, window: usize) -> Result<Self> {
        let mut entropy = Self {
            data,
            position,
            clean: Vec::new(),
            window,
            is_complete: false,
            next_restart: 0,
        };
        entropy.fill_window()?;
        Ok(entropy)
    }

    /// Copies up to the next marker, as far as the window goes. `FF 00` is a byte `FF`; further
    /// `FF` before the zero, or before a marker, are filling.
    fn fill_window(&mut self) -> Result<()> {
        self.is_complete = false;
        while self.clean.len() < self.window {
            let rest = self.data.get(self.position..).unwrap_or_default();
            let room = self.window - self.clean.len();
            let near = &rest[..rest.len().min(room)];
            let plain = memchr(0xFF, near).unwrap_or(near.len());
            self.clean.extend_from_slice(&near[..plain]);
            self.position += plain;
            if plain == room {
                break;
            }
            let rest = &rest[plain..];
            let filling = rest.iter().take_while(|&&byte| byte == 0xFF).count();
            match rest.get(filling) {
                Some(0) => {
                    self.clean.push(0xFF);
                    self.position += filling + 1;
                }
                // The last `FF` belongs to the marker.
                Some(_) => {
                    self.position += filling - 1;
                    self.is_complete = true;
                    break;
                }
                None => return Err(truncated()),
            }
        }
        self.clean.extend_from_slice(&[0; PADDING]);
        Ok(())
    }

    /// Goes on to the marker that ends the stretch.
    fn skip_stretch(&mut self) -> Result<()> {
        while !self.is_complete {
            self.clean.clear();
            self.fill_window()?;
        }
        Ok(())
    }

    /// The bits of the stretch, from its beginning.
    pub(crate) fn bits(&self) -> Bits<'_> {
        self.bits_at(BitPosition::default())
    }

    fn bits_at(
        &self,
        BitPosition {
            next,
            buffer,
            count,
        }: BitPosition,
    ) -> Bits<'_> {
        Bits {
            clean: &self.clean,
            next,
            buffer,
            count,
        }
    }

    /// The bits from a position on: the next `needed` bytes, for which the window has to have room,
    /// or all that is left of the stretch.
    pub(crate) fn bits_from(&mut self, mut from: BitPosition, needed: usize) -> Result<Bits<'_>> {
        let there = self.clean.len() - PADDING;
        if !self.is_complete && there < from.next.saturating_add(needed + LOOKAHEAD) {
            let used = from.next.min(there);
            self.clean.truncate(there);
            self.clean.drain(..used);
            from.next -= used;
            self.fill_window()?;
        }
        Ok(self.bits_at(from))
    }

    /// The bytes of the stretch.
    pub(crate) fn stretch(&self) -> &[u8] {
        &self.clean[..self.clean.len() - PADDING]
    }

    /// The position of the marker that ends the stretch.
    pub(crate) fn end(&mut self) -> Result<usize> {
        self.skip_stretch()?;
        Ok(self.position)
    }

    /// Goes on behind the next restart marker, which has to end the stretch.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.skip_stretch()?;
        let expected = 0xD0 + self.next_restart;
        match self.data.get(self.position + 1) {
            Some(&marker) if marker == expected => {}
            Some(marker @ 0xD0..=0xD7) => {
                let (found, expected) = (marker & 7, self.next_restart);
                return damaged(format!("restart marker {found} where {expected} should be"));
            }
            _ => return damaged("a restart marker is missing"),
        }
        self.next_restart = (self.next_restart + 1) % 8;
        self.position += 2;
        self.clean.clear();
        self.fill_window()
    }
}

/// Where a reader of bits is, while more bytes are copied.
#[derive(Clone, Copy, Default)]
pub(crate) struct BitPosition {
    next: usize,
    buffer: u64,
    count: u32,
}

/// Reads the bits of one stretch; after it there are only zeros.
#[derive(Clone)]
pub(crate) struct Bits<'a> {
    clean: &'a [u8],
    /// The first byte of which no bit is in `buffer` for sure.
    next: usize,
    buffer: u64,
    /// Valid bits, at the top of `buffer`. Below them there may be more of the data's
    /// bits, in their right places.
    count: u32,
}

impl Bits<'_> {
    /// Makes at least 56 bits available, without a branch that depends on the data.
    #[inline(always)]
    pub(crate) fn refill(&mut self) {
        let rest = self.clean.get(self.next..).unwrap_or_default();
        let word = rest
            .first_chunk::<8>()
            .map_or(0, |bytes| u64::from_be_bytes(*bytes));
        self.buffer |= word >> self.count;
        self.next += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
    }

    /// The next bits (1 to 56 of them), refilled before, as a number.
    #[inline(always)]
    pub(crate) fn peek(&self, bits: u32) -> usize {
        (self.buffer >> (64 - bits)) as usize
    }

    /// The signed number of `size` (at most 15) bits that follow the next `skipped`
    /// bits, refilled before; negative numbers begin with a 0.
    #[inline(always)]
    pub(crate) fn peek_signed(&self, skipped: u32, size: u32) -> i32 {
        let rest = self.buffer << skipped;
        let magnitude = (rest >> 1 >> (63 - size)) as i32;
        let negative = (rest >> 63) as i32 - 1;
        magnitude + (negative & (1 - (1 << size)))
    }

    /// Consumes bits that were refilled before.
    #[inline(always)]
    pub(crate) fn consume(&mut self, bits: u32) {
        self.buffer <<= bits;
        self.count -= bits;
    }

    /// The next `bits` (at most 16) as a number.
    #[inline]
    pub(crate) fn take(&mut self, bits: u32) -> u32 {
        self.refill();
        let value = (self.buffer >> 1 >> (63 - bits)) as u32;
        self.consume(bits);
        value
    }

    /// The place of the next bit.
    pub(crate) fn position(&self) -> BitPosition {
        BitPosition {
            next: self.next,
            buffer: self.buffer,
            count: self.count,
        }
    }

    /// Whether more bits were consumed than there are.
    pub(crate) fn overran(&self) -> bool {
        let real = 8 * (self.clean.len() - PADDING);
        8 * self.next > real + self.count as usize
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One bit after the other.
    fn slow_bits(data: &[u8]) -> impl Iterator<Item = u32> {
        data.iter()
            .flat_map(|&byte| (0..8).rev().map(move |bit| u32::from(byte >> bit) & 1))
            .chain(std::iter::repeat(0))
    }

    /// The data as they stand in a file, before a marker.
    fn stuffed(data: &[u8], marker: &[u8]) -> Vec<u8> {
        let zeros = |&byte: &u8| [byte, 0].into_iter().take(if byte == 0xFF { 2 } else { 1 });
        data.iter()
            .flat_map(zeros)
            .chain(marker.iter().copied())
            .collect()
    }

    fn slow_signed(value: u32, bits: u32) -> i32 {
        if bits > 0 && value < 1 << (bits - 1) {
            value as i32 - (1 << bits) + 1
        } else {
            value as i32
        }
    }

    proptest! {
        #[test]
        fn bits_come_one_after_the_other(
            data in prop::collection::vec(prop_oneof![any::<u8>(), Just(0xFF)], 0..60),
            sizes in prop::collection::vec(0u32..=15, 1..60),
        ) {
            let stuffed = stuffed(&data, &[0xFF, 0xFF, 0xD9]);
            let mut entropy = Entropy::new(&stuffed, 0).unwrap();
            prop_assert_eq!(entropy.stretch(), &data[..]);
            prop_assert_eq!(entropy.end(), Ok(stuffed.len() - 2));
            let mut bits = entropy.bits();
            let mut slow = slow_bits(&data);
            let mut consumed = 0;
            for (signed, &size) in [false, true].into_iter().cycle().zip(&sizes) {
                let expected = (0..size).fold(0, |sum, _| sum << 1 | slow.next().unwrap_or(0));
                if signed {
                    bits.refill();
                    prop_assert_eq!(bits.peek_signed(0, size), slow_signed(expected, size));
                    bits.consume(size);
                } else {
                    prop_assert_eq!(bits.take(size), expected);
                }
                consumed += size as usize;
                prop_assert_eq!(bits.overran(), consumed > 8 * data.len());
            }
        }
    }

    proptest! {
        #[test]
        fn a_window_gives_the_bits_of_the_whole(
            data in prop::collection::vec(prop_oneof![any::<u8>(), Just(0xFF)], 0..200),
            sizes in prop::collection::vec(1u32..=16, 1..150),
            window in 10usize..60,
        ) {
            let stuffed = stuffed(&data, &[0xFF, 0xD9]);
            let whole = Entropy::new(&stuffed, 0).unwrap();
            let mut all = whole.bits();
            let mut windowed = Entropy::windowed(&stuffed, 0, window).unwrap();
            let mut position = BitPosition::default();
            for size in sizes {
                let mut bits = windowed.bits_from(position, 2).unwrap();
                prop_assert_eq!(bits.take(size), all.take(size));
                prop_assert_eq!(bits.overran(), all.overran());
                position = bits.position();
            }
            prop_assert_eq!(windowed.end(), Ok(stuffed.len() - 2));
        }
    }

    #[test]
    fn restart_markers_are_counted() {
        let data = [
            1, 2, 0xFF, 0xD0, 3, 0xFF, 0xFF, 0x00, 0xFF, 0xFF, 0xD1, 0xFF, 0xD3,
        ];
        let mut entropy = Entropy::new(&data, 0).unwrap();
        assert_eq!(entropy.bits().take(16), 0x0102);
        entropy.restart().unwrap();
        assert_eq!(entropy.bits().take(16), 0x03FF);
        entropy.restart().unwrap();
        assert_eq!(entropy.bits().take(16), 0);
        let error = entropy.restart().unwrap_err().to_string();
        assert!(
            error.contains("restart marker 3 where 2 should be"),
            "{error}"
        );
        let mut entropy = Entropy::new(&[5, 0xFF, 0xD9], 0).unwrap();
        assert_eq!(entropy.end(), Ok(1));
        let error = entropy.restart().unwrap_err().to_string();
        assert!(error.contains("a restart marker is missing"), "{error}");
        let error = Entropy::new(&[5, 0xFF], 0).err().unwrap().to_string();
        assert!(error.contains("truncated"), "{error}");
    }
}
