//! Images that one sequential scan holds: decoded one MCU row at a time, so that
//! coefficients and samples stay in the cache.

use crate::assemble::{Assembler, Decoded, RowHandler};
use crate::bits::{BitPosition, Bits, Entropy};
use crate::coefficients::{Band, Block, ac, dc};
use crate::error::{Result, damaged, ends_early};
use crate::frame::Frame;
use crate::scan::{Scan, ScanComponent};

/// The most bytes of a block: 64 coefficients, each a code of 16 bits and a number of 15.
const BLOCK_BYTES: usize = 256;

/// Decodes a scan of all components, whose data begin at `start`; gives the position behind it, too.
pub(crate) fn decode(
    scan: &Scan<'_>,
    frame: &Frame,
    bytes: &[u8],
    start: usize,
    handler: Option<RowHandler<'_>>,
) -> Result<(Decoded, usize)> {
    let mut assembler = Assembler::new(frame, handler)?;
    let components = frame.components.iter();
    let mut rows: Vec<Vec<Block>> = components
        .map(|component| vec![[0; 64]; component.stride * component.vertical])
        .collect();
    let blocks: usize = rows.iter().map(Vec::len).sum();
    let row_bytes = blocks * BLOCK_BYTES;
    let mut entropy = Entropy::windowed(bytes, start, 2 * row_bytes)?;
    let mut position = BitPosition::default();
    let mut dc = [0; 4];
    let mut until_restart = scan.restart_interval;
    for y in 0..frame.mcu_rows() {
        let mut bits = entropy.bits_from(position, row_bytes)?;
        rows.iter_mut().for_each(|blocks| blocks.fill([0; 64]));
        for x in 0..frame.mcus_per_row() {
            if scan.restart_interval > 0 {
                if until_restart == 0 {
                    if bits.overran() {
                        return Err(ends_early());
                    }
                    entropy.restart()?;
                    bits = entropy.bits();
                    dc = [0; 4];
                    until_restart = scan.restart_interval;
                }
                until_restart -= 1;
            }
            let parts = scan.components.iter().zip(&frame.components);
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
        position = bits.position();
        for (component, blocks) in rows.iter().enumerate() {
            assembler.add_row(component, y, blocks);
        }
        assembler.draw(y);
    }
    Ok((assembler.finish(), entropy.end()?))
}

/// One block; the scan has all tables.
#[inline(always)]
fn sequential(
    block: &mut Block,
    part: &ScanComponent<'_>,
    running: &mut i32,
    bits: &mut Bits<'_>,
) -> Result<()> {
    let (Some(dc_table), Some(ac_table)) = (part.dc, part.ac) else {
        return damaged("a Huffman table is missing");
    };
    block[0] = dc(dc_table, running, bits)? as i16;
    ac::<false>(block, ac_table, Band::ALL, &mut 0, bits)
}
