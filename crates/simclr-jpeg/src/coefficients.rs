//! The coefficients of a block, entropy-decoded as sequential files store them.

use crate::bits::Bits;
use crate::error::{Result, damaged, unknown_code};
use crate::huffman::HuffmanTable;

/// Coefficients of a block, in natural (not zigzag) order.
pub(crate) type Block = [i16; 64];

/// Which bits of which coefficients a scan gives.
#[derive(Clone, Copy)]
pub(crate) struct Band {
    /// First and last coefficient, in zigzag order.
    pub(crate) first: usize,
    pub(crate) last: usize,
    /// Whether earlier scans gave higher bits.
    pub(crate) refining: bool,
    /// The lowest bit that this scan gives.
    pub(crate) low: u32,
}

impl Band {
    /// What sequential scans give.
    pub(crate) const ALL: Self = Self {
        first: 0,
        last: 63,
        refining: false,
        low: 0,
    };
}

/// Where each coefficient of the file's zigzag order belongs.
pub(crate) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// The DC coefficient of a block, which comes as the difference to the last one.
#[inline(always)]
pub(crate) fn dc(table: &HuffmanTable, running: &mut i32, bits: &mut Bits<'_>) -> Result<i32> {
    let (size, difference) = table.decode_with_number(bits).ok_or_else(unknown_code)?;
    if size > 15 {
        return damaged("a DC coefficient is too large");
    }
    *running = running.wrapping_add(difference);
    Ok(*running)
}

/// The AC coefficients of a block, the first time. In a `PROGRESSIVE` scan, `eob_run` counts
/// blocks to come that have none (the end-of-band run).
#[inline(always)]
pub(crate) fn ac<const PROGRESSIVE: bool>(
    block: &mut Block,
    table: &HuffmanTable,
    band: Band,
    eob_run: &mut u32,
    bits: &mut Bits<'_>,
) -> Result<()> {
    if PROGRESSIVE && *eob_run > 0 {
        *eob_run -= 1;
        return Ok(());
    }
    let mut k = band.first.max(1);
    while k <= band.last {
        let (symbol, number) = table.decode_with_number(bits).ok_or_else(unknown_code)?;
        let run = usize::from(symbol >> 4);
        if symbol & 15 == 0 {
            if run < 15 {
                if PROGRESSIVE {
                    *eob_run = (1 << run) - 1 + bits.take(run as u32);
                }
                break;
            }
            k += 16;
            continue;
        }
        k += run;
        if k > band.last {
            return damaged("a block has too many coefficients");
        }
        block[usize::from(ZIGZAG[k] & 63)] = (number << band.low) as i16;
        k += 1;
    }
    Ok(())
}
