//! Pictures that one sequential scan holds: decoded row by row of blocks, so that
//! coefficients and samples stay in the cache.

use simclr_augment::DecodedImage;

use super::assemble::Assembler;
use super::bits::{Bits, Entropy};
use super::frame::{Block, Frame};
use super::header::ZIGZAG;
use super::huffman::HuffmanTable;
use super::scan::{Part, Scan, ends_early, unknown_code};
use super::{JpegError, damaged};

/// Decodes a scan of all components.
pub(super) fn decode(
    scan: &Scan<'_>,
    frame: &Frame,
    entropy: &mut Entropy<'_>,
) -> Result<DecodedImage, JpegError> {
    let mut assembler = Assembler::new(frame)?;
    let components = frame.components.iter();
    let mut rows: Vec<Vec<Block>> = components
        .map(|component| vec![[0; 64]; component.stride * component.vertical])
        .collect();
    let mut bits = entropy.bits();
    let mut dc = [0; 4];
    let mut until_restart = scan.restart_interval;
    for y in 0..frame.groups_high() {
        rows.iter_mut().for_each(|blocks| blocks.fill([0; 64]));
        for x in 0..frame.groups_wide() {
            if scan.restart_interval > 0 {
                if until_restart == 0 {
                    if bits.overran() {
                        return Err(ends_early());
                    }
                    if !entropy.restart() {
                        return damaged("a restart marker is missing");
                    }
                    bits = entropy.bits();
                    dc = [0; 4];
                    until_restart = scan.restart_interval;
                }
                until_restart -= 1;
            }
            let parts = scan.parts.iter().zip(&frame.components);
            for (((part, component), blocks), dc) in parts.zip(&mut rows).zip(&mut dc) {
                for row in blocks.chunks_exact_mut(component.stride) {
                    let first = x * component.horizontal;
                    for block in &mut row[first..first + component.horizontal] {
                        sequential(block, part, dc, &mut bits)?;
                    }
                }
            }
        }
        if bits.overran() {
            return Err(ends_early());
        }
        for (component, blocks) in rows.iter().enumerate() {
            assembler.add_row(component, y, blocks);
        }
        assembler.draw(y);
    }
    assembler.finish()
}

/// One block; the scan has all tables.
#[inline(always)]
fn sequential(
    block: &mut Block,
    part: &Part<'_>,
    running: &mut i32,
    bits: &mut Bits<'_>,
) -> Result<(), JpegError> {
    let (Some(dc_table), Some(ac_table)) = (part.dc, part.ac) else {
        return damaged("a Huffman table is missing");
    };
    block[0] = dc(dc_table, running, bits)? as i16;
    ac(block, ac_table, bits)
}

/// The DC coefficient of a block, which comes as the difference to the last one.
#[inline(always)]
pub(super) fn dc(
    table: &HuffmanTable,
    running: &mut i32,
    bits: &mut Bits<'_>,
) -> Result<i32, JpegError> {
    let (size, difference) = table.decode_with_number(bits).ok_or_else(unknown_code)?;
    if size > 15 {
        return damaged("a DC coefficient is too large");
    }
    *running = running.wrapping_add(difference);
    Ok(*running)
}

/// Where each coefficient belongs, with a run of zeros beyond the end.
const PLACES: [u8; 80] = {
    let mut places = [63; 80];
    let mut k = 0;
    while k < 64 {
        places[k] = ZIGZAG[k] as u8;
        k += 1;
    }
    places
};

/// The AC coefficients of a block.
#[inline(always)]
pub(super) fn ac(
    block: &mut Block,
    table: &HuffmanTable,
    bits: &mut Bits<'_>,
) -> Result<(), JpegError> {
    let mut k = 1;
    while k < 64 {
        let (symbol, number) = table.decode_with_number(bits).ok_or_else(unknown_code)?;
        let run = usize::from(symbol >> 4);
        if symbol & 15 == 0 {
            if run < 15 {
                break;
            }
            k += 16;
            continue;
        }
        k += run;
        if k > 63 {
            return damaged("a block has too many coefficients");
        }
        block[usize::from(PLACES[k] & 63)] = number as i16;
        k += 1;
    }
    Ok(())
}
