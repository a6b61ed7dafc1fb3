//! The coefficients of a block, entropy-decoded as arithmetic coding stores them
//! (ITU-T T.81, annexes D, F.2.4 and G.2).

mod coder;

use self::coder::{Bin, Coder, FIXED};
use crate::coefficients::{Band, Block, ZIGZAG};
use crate::error::{Result, damaged};

/// Bins of a DC and an AC table.
const DC_BINS: usize = 64;
const AC_BINS: usize = 256;
/// Where the bins of the bits of a magnitude stand behind those of its length.
const MAGNITUDE_BITS: usize = 14;

/// Numbers that decide which bins are used, by table.
#[derive(Clone, Copy)]
pub(crate) struct Conditioning {
    /// Differences of DC values up to the lower bound count as zero, those above the upper
    /// one as large; both are exponents.
    dc_bounds: [(u8, u8); 4],
    /// The last AC coefficient with the bins of low frequencies.
    ac_low: [u8; 4],
}

impl Default for Conditioning {
    fn default() -> Self {
        Self {
            dc_bounds: [(0, 1); 4],
            ac_low: [5; 4],
        }
    }
}

impl Conditioning {
    /// An entry of a DAC segment.
    pub(crate) fn set(&mut self, table: u8, value: u8) -> Result<()> {
        let (lower, upper) = (value & 15, value >> 4);
        match table {
            0..=3 if lower <= upper => self.dc_bounds[usize::from(table)] = (lower, upper),
            0x10..=0x13 => self.ac_low[usize::from(table & 15)] = value,
            _ => return damaged("an arithmetic conditioning is impossible"),
        }
        Ok(())
    }
}

/// Decodes blocks between two restarts.
pub(crate) struct ArithmeticDecoder<'e> {
    coder: Coder<'e>,
    conditioning: Conditioning,
    dc: [[Bin; DC_BINS]; 4],
    ac: [[Bin; AC_BINS]; 4],
    /// By component of the scan: the last DC value, and the first bin for the next one.
    last_dc: [(i32, usize); 4],
}

impl<'e> ArithmeticDecoder<'e> {
    pub(crate) fn new(stretch: &'e [u8], conditioning: Conditioning) -> Self {
        Self {
            coder: Coder::new(stretch),
            conditioning,
            dc: [[0; DC_BINS]; 4],
            ac: [[0; AC_BINS]; 4],
            last_dc: [(0, 0); 4],
        }
    }

    /// A block of the scan's component `number`, whose DC and AC `tables` are less than 4.
    pub(crate) fn block(
        &mut self,
        block: &mut Block,
        band: Band,
        (dc_table, ac_table): (usize, usize),
        number: usize,
    ) -> Result<()> {
        if band.first == 0 {
            if band.refining {
                block[0] |= i16::from(self.coder.decide(&mut { FIXED })) << band.low;
            } else {
                self.dc_difference(dc_table, number)?;
                block[0] = (self.last_dc[number].0 << band.low) as i16;
            }
        }
        if band.last > 0 && band.refining {
            self.refine_ac(block, band, ac_table)
        } else {
            self.ac(block, band, ac_table)
        }
    }

    /// Adds the next difference to a component's DC value.
    fn dc_difference(&mut self, table: usize, number: usize) -> Result<()> {
        let (last, context) = &mut self.last_dc[number];
        let (coder, bins) = (&mut self.coder, &mut self.dc[table]);
        let mut bin = *context;
        if !coder.decide(&mut bins[bin]) {
            *context = 0;
            return Ok(());
        }
        let negative = coder.decide(&mut bins[bin + 1]);
        bin += 2 + usize::from(negative);
        let mut size = 0;
        if coder.decide(&mut bins[bin]) {
            bin = 20;
            size = magnitude_size(coder, bins, &mut bin, 1)?;
        }
        let (lower, upper) = self.conditioning.dc_bounds[table];
        let kind = if size < 1 << lower >> 1 {
            0
        } else if size > 1 << upper >> 1 {
            12
        } else {
            4
        };
        *context = if kind > 0 && negative { kind + 4 } else { kind };
        let magnitude = magnitude(coder, bins, bin, size);
        *last = last.wrapping_add(if negative { -magnitude } else { magnitude });
        Ok(())
    }

    /// The AC coefficients of a band, the first time.
    fn ac(&mut self, block: &mut Block, band: Band, table: usize) -> Result<()> {
        let (coder, bins) = (&mut self.coder, &mut self.ac[table]);
        let mut k = band.first.max(1);
        while k <= band.last {
            let mut bin = 3 * (k - 1);
            if coder.decide(&mut bins[bin]) {
                break;
            }
            while !coder.decide(&mut bins[bin + 1]) {
                bin += 3;
                k += 1;
                if k > band.last {
                    return damaged("a block has too many coefficients");
                }
            }
            let negative = coder.decide(&mut { FIXED });
            bin += 2;
            let mut size = i32::from(coder.decide(&mut bins[bin]));
            if size > 0 && coder.decide(&mut bins[bin]) {
                let low = k <= usize::from(self.conditioning.ac_low[table]);
                bin = if low { 189 } else { 217 };
                size = magnitude_size(coder, bins, &mut bin, 2)?;
            }
            let magnitude = magnitude(coder, bins, bin, size);
            let value = if negative { -magnitude } else { magnitude };
            block[usize::from(ZIGZAG[k] & 63)] = (value << band.low) as i16;
            k += 1;
        }
        Ok(())
    }

    /// One more bit of a band of AC coefficients.
    fn refine_ac(&mut self, block: &mut Block, band: Band, table: usize) -> Result<()> {
        let (coder, bins) = (&mut self.coder, &mut self.ac[table]);
        let bit = 1i16 << band.low;
        let is_known = |k: &usize| block[usize::from(ZIGZAG[*k])] != 0;
        // Where the block ended before this scan.
        let known = (1..=band.last).rev().find(is_known).unwrap_or(0);
        let mut k = band.first;
        while k <= band.last {
            let mut bin = 3 * (k - 1);
            if k > known && coder.decide(&mut bins[bin]) {
                break;
            }
            loop {
                let coefficient = &mut block[usize::from(ZIGZAG[k] & 63)];
                if *coefficient != 0 {
                    if coder.decide(&mut bins[bin + 2]) {
                        let step = if *coefficient < 0 { -bit } else { bit };
                        *coefficient = coefficient.wrapping_add(step);
                    }
                    break;
                }
                if coder.decide(&mut bins[bin + 1]) {
                    let negative = coder.decide(&mut { FIXED });
                    *coefficient = if negative { -bit } else { bit };
                    break;
                }
                bin += 3;
                k += 1;
                if k > band.last {
                    return damaged("a block has too many coefficients");
                }
            }
            k += 1;
        }
        Ok(())
    }
}

/// The highest bit of a magnitude less one, which has at least the bit `size`; `bin` moves to
/// the bin of its last decision.
fn magnitude_size(
    coder: &mut Coder<'_>,
    bins: &mut [Bin],
    bin: &mut usize,
    mut size: i32,
) -> Result<i32> {
    while coder.decide(&mut bins[*bin]) {
        size <<= 1;
        if size == 0x8000 {
            return damaged("a coefficient is too large");
        }
        *bin += 1;
    }
    Ok(size)
}

/// A magnitude whose value less one has `size` as its highest bit.
fn magnitude(coder: &mut Coder<'_>, bins: &mut [Bin], bin: usize, size: i32) -> i32 {
    let mut value = size;
    let mut bit = size >> 1;
    while bit > 0 {
        if coder.decide(&mut bins[bin + MAGNITUDE_BITS]) {
            value |= bit;
        }
        bit >>= 1;
    }
    value + 1
}
