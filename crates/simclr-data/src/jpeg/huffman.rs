//! Huffman tables.

use super::bits::Bits;
use super::{JpegError, damaged};

/// Codes of at most this many bits are looked up at once.
const FAST_BITS: u32 = 9;
const LENGTHS: usize = 16;

/// A table that turns codes into symbols.
#[derive(Clone)]
pub(super) struct HuffmanTable {
    /// By the next bits: length of the code (0 if longer) and its symbol.
    fast: Vec<(u8, u8)>,
    /// By length: one past the largest code, at the top of 16 bits.
    limits: [u32; LENGTHS + 1],
    /// By length: index of the first symbol minus the first code.
    offsets: [i32; LENGTHS + 1],
    symbols: Vec<u8>,
}

impl HuffmanTable {
    /// From the numbers of codes of each length, and the symbols in order.
    pub(super) fn new(counts: &[u8; LENGTHS], symbols: &[u8]) -> Result<Self, JpegError> {
        let mut table = Self {
            fast: vec![(0, 0); 1 << FAST_BITS],
            limits: [0; LENGTHS + 1],
            offsets: [0; LENGTHS + 1],
            symbols: symbols.to_vec(),
        };
        let mut code = 0u32;
        let mut index = 0usize;
        for (length, &count) in (1u32..).zip(counts) {
            let codes = u32::from(count);
            if code + codes > 1 << length {
                return damaged("a Huffman table has more codes than fit");
            }
            let slot = length as usize;
            table.offsets[slot] = index as i32 - code as i32;
            for _ in 0..codes {
                table.set_fast(
                    length,
                    code,
                    symbols.get(index).copied().unwrap_or_default(),
                );
                code += 1;
                index += 1;
            }
            table.limits[slot] = code << (LENGTHS as u32 - length);
            code <<= 1;
        }
        Ok(table)
    }

    fn set_fast(&mut self, length: u32, code: u32, symbol: u8) {
        if length <= FAST_BITS {
            let free = FAST_BITS - length;
            let first = (code << free) as usize;
            self.fast[first..first + (1 << free)].fill((length as u8, symbol));
        }
    }

    /// The next symbol; `None` if the bits are no code.
    #[inline(always)]
    pub(super) fn decode(&self, bits: &mut Bits) -> Option<u8> {
        let next = bits.peek();
        let (length, symbol) = self.fast[usize::from(next >> (16 - FAST_BITS))];
        if length > 0 {
            bits.consume(u32::from(length));
            return Some(symbol);
        }
        self.decode_long(next, bits)
    }

    #[cold]
    fn decode_long(&self, next: u16, bits: &mut Bits) -> Option<u8> {
        for length in FAST_BITS as usize + 1..=LENGTHS {
            if u32::from(next) < self.limits[length] {
                let code = i32::from(next >> (LENGTHS - length));
                bits.consume(length as u32);
                let index = (code + self.offsets[length]) as usize;
                return self.symbols.get(index).copied();
            }
        }
        None
    }
}
