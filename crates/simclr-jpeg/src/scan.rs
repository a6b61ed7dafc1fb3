//! Scans: coefficients from bits, baseline and progressive.

use super::bits::{Bits, Entropy};
use super::frame::{Block, Frame};
use super::header::ZIGZAG;
use super::huffman::HuffmanTable;
use super::{JpegError, baseline, damaged};

/// A component's part in a scan.
pub(super) struct Part<'t> {
    component: usize,
    pub(super) dc: Option<&'t HuffmanTable>,
    pub(super) ac: Option<&'t HuffmanTable>,
}

/// What a scan holds of which components.
pub(super) struct Scan<'t> {
    pub(super) parts: Vec<Part<'t>>,
    /// First and last coefficient, in zigzag order.
    first: usize,
    last: usize,
    /// Whether earlier scans gave higher bits.
    refining: bool,
    /// The lowest bit that this scan gives.
    low: u32,
    progressive: bool,
    pub(super) restart_interval: usize,
}

/// What carries over from block to block.
struct Running {
    /// The last DC value of each part.
    dc: [i32; 4],
    /// Blocks still to come without further coefficients.
    empty: u32,
}

const FRESH: Running = Running {
    dc: [0; 4],
    empty: 0,
};

impl<'t> Scan<'t> {
    pub(super) fn read(
        segment: &[u8],
        frame: &Frame,
        dc: &'t [Option<HuffmanTable>; 4],
        ac: &'t [Option<HuffmanTable>; 4],
        restart_interval: usize,
    ) -> Result<Self, JpegError> {
        let too_short = || JpegError::Damaged("a scan header is too short".into());
        let (&count, rest) = segment.split_first().ok_or_else(too_short)?;
        let count = usize::from(count);
        let (selectors, rest) = rest.split_at_checked(2 * count).ok_or_else(too_short)?;
        let &[first, last, approximation, ..] = rest else {
            return Err(too_short());
        };
        if !(1..=4).contains(&count) {
            return damaged("a scan has no components, or more than four");
        }
        let mut parts = Vec::new();
        for &[id, tables] in selectors.as_chunks::<2>().0 {
            let Some(component) = frame.components.iter().position(|c| c.id == id) else {
                return damaged("a scan names a component that the frame has not");
            };
            parts.push(Part {
                component,
                dc: dc.get(usize::from(tables >> 4)).and_then(Option::as_ref),
                ac: ac.get(usize::from(tables & 15)).and_then(Option::as_ref),
            });
        }
        let scan = Self {
            parts,
            first: if frame.progressive {
                usize::from(first)
            } else {
                0
            },
            last: if frame.progressive {
                usize::from(last)
            } else {
                63
            },
            refining: frame.progressive && approximation >> 4 != 0,
            low: if frame.progressive {
                u32::from(approximation & 15)
            } else {
                0
            },
            progressive: frame.progressive,
            restart_interval,
        };
        scan.check()?;
        Ok(scan)
    }

    fn check(&self) -> Result<(), JpegError> {
        if self.last > 63 || self.first > self.last || self.low > 13 {
            return damaged("a scan's range of coefficients is impossible");
        }
        if self.progressive && self.first == 0 && self.last != 0 {
            return damaged("a progressive scan mixes DC and AC");
        }
        if self.first > 0 && self.parts.len() > 1 {
            return damaged("a scan of AC coefficients has several components");
        }
        let needs_dc = self.first == 0 && !self.refining;
        let needs_ac = self.last > 0;
        let complete =
            |part: &Part| (part.dc.is_some() || !needs_dc) && (part.ac.is_some() || !needs_ac);
        if !self.parts.iter().all(complete) {
            return damaged("a Huffman table is missing");
        }
        Ok(())
    }

    pub(super) fn component_indices(&self) -> Vec<usize> {
        self.parts.iter().map(|part| part.component).collect()
    }

    /// Whether this scan alone holds all of a picture, all components in their order.
    pub(super) fn is_whole_picture(&self, frame: &Frame) -> bool {
        !self.progressive
            && self.parts.len() == frame.components.len()
            && self
                .parts
                .iter()
                .map(|part| part.component)
                .eq(0..self.parts.len())
    }

    /// Reads all blocks of the scan into the frame's coefficients.
    pub(super) fn decode(
        &self,
        frame: &mut Frame,
        entropy: &mut Entropy<'_>,
    ) -> Result<(), JpegError> {
        frame.allocate();
        let mut bits = entropy.bits();
        let alone = match self.parts.as_slice() {
            [part] => Some(part.component),
            _ => None,
        };
        let (wide, high) = match alone {
            Some(index) => {
                let component = &frame.components[index];
                (component.blocks_wide, component.blocks_high)
            }
            None => (frame.groups_wide(), frame.groups_high()),
        };
        let mut running = FRESH;
        for group in 0..wide * high {
            let restart = self.restart_interval > 0 && group.is_multiple_of(self.restart_interval);
            if restart && group > 0 {
                running = FRESH;
                if !entropy.restart() {
                    return damaged("a restart marker is missing");
                }
                bits = entropy.bits();
            }
            let (y, x) = (group / wide, group % wide);
            for (number, part) in self.parts.iter().enumerate() {
                let component = &mut frame.components[part.component];
                let (rows, columns) = match alone {
                    Some(_) => (1, 1),
                    None => (component.vertical, component.horizontal),
                };
                for row in y * rows..(y + 1) * rows {
                    for column in x * columns..(x + 1) * columns {
                        let block = &mut component.blocks[row * component.stride + column];
                        self.block(block, part, number, &mut running, &mut bits)?;
                    }
                }
            }
            if x + 1 == wide && bits.overran() {
                return Err(ends_early());
            }
        }
        Ok(())
    }

    #[inline]
    fn block(
        &self,
        block: &mut Block,
        part: &Part,
        number: usize,
        running: &mut Running,
        bits: &mut Bits,
    ) -> Result<(), JpegError> {
        if self.first == 0 {
            if self.refining {
                block[0] |= (bits.take(1) << self.low) as i16;
            } else if let Some(table) = part.dc {
                let dc = baseline::dc(table, &mut running.dc[number], bits)?;
                block[0] = (dc << self.low) as i16;
            }
        }
        match part.ac {
            Some(table) if self.last > 0 => {
                if self.refining {
                    self.refine_ac(block, table, &mut running.empty, bits)
                } else if self.progressive {
                    self.first_ac(block, table, &mut running.empty, bits)
                } else {
                    baseline::ac(block, table, bits)
                }
            }
            _ => Ok(()),
        }
    }

    /// The first, higher bits of a band of AC coefficients.
    fn first_ac(
        &self,
        block: &mut Block,
        table: &HuffmanTable,
        empty: &mut u32,
        bits: &mut Bits,
    ) -> Result<(), JpegError> {
        if *empty > 0 {
            *empty -= 1;
            return Ok(());
        }
        let mut k = self.first;
        while k <= self.last {
            let symbol = table.decode(bits).ok_or_else(unknown_code)?;
            let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if size == 0 {
                if run < 15 {
                    *empty = (1 << run) - 1 + bits.take(run as u32);
                    break;
                }
                k += 16;
                continue;
            }
            k += run;
            if k > self.last {
                return damaged("a block has too many coefficients");
            }
            block[ZIGZAG[k]] = (bits.take_signed(size) << self.low) as i16;
            k += 1;
        }
        Ok(())
    }

    /// One more bit of a band of AC coefficients.
    fn refine_ac(
        &self,
        block: &mut Block,
        table: &HuffmanTable,
        empty: &mut u32,
        bits: &mut Bits,
    ) -> Result<(), JpegError> {
        let bit = 1i16 << self.low;
        let mut k = self.first;
        if *empty == 0 {
            while k <= self.last {
                let symbol = table.decode(bits).ok_or_else(unknown_code)?;
                let (mut run, size) = (u32::from(symbol >> 4), symbol & 15);
                let mut value = 0;
                if size == 1 {
                    value = if bits.take(1) == 1 { bit } else { -bit };
                } else if size != 0 {
                    return damaged("a refined coefficient is too large");
                } else if run < 15 {
                    *empty = (1 << run) + bits.take(run);
                    break;
                }
                while k <= self.last {
                    let coefficient = &mut block[ZIGZAG[k]];
                    k += 1;
                    if *coefficient != 0 {
                        refine(coefficient, bit, bits);
                    } else if run == 0 {
                        *coefficient = value;
                        break;
                    } else {
                        run -= 1;
                    }
                }
            }
        }
        if *empty > 0 {
            for &place in &ZIGZAG[k.min(64)..=self.last] {
                if block[place] != 0 {
                    refine(&mut block[place], bit, bits);
                }
            }
            *empty -= 1;
        }
        Ok(())
    }
}

pub(super) fn ends_early() -> JpegError {
    JpegError::Damaged("the compressed data end early".into())
}

pub(super) fn unknown_code() -> JpegError {
    JpegError::Damaged("a Huffman code is unknown".into())
}

/// Adds the next bit to a coefficient, away from zero, unless it has it already.
fn refine(coefficient: &mut i16, bit: i16, bits: &mut Bits) {
    if bits.take(1) == 1 && *coefficient & bit == 0 {
        let step = if *coefficient > 0 { bit } else { -bit };
        *coefficient = coefficient.wrapping_add(step);
    }
}
