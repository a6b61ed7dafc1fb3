use crate::bits::Bits;
use crate::error::{Result, damaged};

/// Codes of at most this many bits are looked up at once.
const FAST_BITS: u32 = 11;
const LENGTHS: usize = 16;

/// A code and what it stands for.
#[derive(Clone, Copy, Default)]
struct Code {
    symbol: u8,
    /// Bits; 0 if the code is longer than the table's.
    length: u8,
    /// Bits of the code and of the number whose size the symbol's lower half gives.
    total: u8,
}

impl Code {
    fn new(symbol: u8, length: u32) -> Self {
        Self {
            symbol,
            length: length as u8,
            total: length as u8 + (symbol & 15),
        }
    }
}

/// A table that turns codes into symbols.
#[derive(Clone)]
pub(crate) struct HuffmanTable {
    /// By the next bits.
    fast: Box<[Code; 1 << FAST_BITS]>,
    /// By length: one past the largest code, at the top of 16 bits.
    limits: [u32; LENGTHS + 1],
    /// By length: index of the first symbol minus the first code.
    offsets: [i32; LENGTHS + 1],
    symbols: Vec<u8>,
}

impl HuffmanTable {
    /// From the numbers of codes of each length, and the symbols in order.
    pub(crate) fn new(counts: &[u8; LENGTHS], symbols: &[u8]) -> Result<Self> {
        let mut table = Self {
            fast: Box::new([Code::default(); 1 << FAST_BITS]),
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
                if length <= FAST_BITS {
                    let symbol = symbols.get(index).copied().unwrap_or_default();
                    let free = FAST_BITS - length;
                    let first = (code << free) as usize;
                    table.fast[first..first + (1 << free)].fill(Code::new(symbol, length));
                }
                code += 1;
                index += 1;
            }
            table.limits[slot] = code << (LENGTHS as u32 - length);
            code <<= 1;
        }
        Ok(table)
    }

    /// The code that begins here, the bits refilled before; `None` if there is none.
    #[inline(always)]
    fn code(&self, bits: &Bits) -> Option<Code> {
        let code = self.fast[bits.peek(FAST_BITS)];
        if code.length > 0 {
            return Some(code);
        }
        self.long_code(bits.peek(LENGTHS as u32))
    }

    /// The code longer than the fast table's that these 16 bits begin with.
    #[cold]
    fn long_code(&self, next: usize) -> Option<Code> {
        for length in FAST_BITS as usize + 1..=LENGTHS {
            if next < self.limits[length] as usize {
                let code = (next >> (LENGTHS - length)) as i32;
                let symbol = self.symbols.get((code + self.offsets[length]) as usize)?;
                return Some(Code::new(*symbol, length as u32));
            }
        }
        None
    }

    /// The next symbol; `None` if the bits are no code.
    #[inline]
    pub(crate) fn decode(&self, bits: &mut Bits) -> Option<u8> {
        bits.refill();
        let code = self.code(bits)?;
        bits.consume(u32::from(code.length));
        Some(code.symbol)
    }

    /// The next symbol, and the signed number after it, whose bits are as many as the
    /// symbol's lower half says.
    #[inline(always)]
    pub(crate) fn decode_with_number(&self, bits: &mut Bits) -> Option<(u8, i32)> {
        bits.refill();
        let code = self.code(bits)?;
        let number = bits.peek_signed(u32::from(code.length), u32::from(code.symbol & 15));
        bits.consume(u32::from(code.total));
        Some((code.symbol, number))
    }
}
