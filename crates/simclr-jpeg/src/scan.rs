//! Scans that hold a part of the coefficients: progressive ones, and sequential ones of
//! some of the components.

use crate::bits::{Bits, Entropy};
use crate::coefficients::{ALL_AC, ZIGZAG, ac, dc};
use crate::error::{Error, Result, damaged, ends_early, unknown_code};
use crate::frame::{Block, Frame};
use crate::huffman::HuffmanTable;

/// A component of a scan, with its tables.
pub(crate) struct ScanComponent<'t> {
    component: usize,
    pub(crate) dc: Option<&'t HuffmanTable>,
    pub(crate) ac: Option<&'t HuffmanTable>,
}

/// A scan header: which coefficients of which components follow.
pub(crate) struct Scan<'t> {
    pub(crate) components: Vec<ScanComponent<'t>>,
    /// First and last coefficient, in zigzag order.
    first: usize,
    last: usize,
    /// Whether earlier scans gave higher bits.
    refining: bool,
    /// The lowest bit that this scan gives.
    low: u32,
    progressive: bool,
    pub(crate) restart_interval: usize,
}

/// What carries over from block to block.
#[derive(Default)]
struct Running {
    /// The last DC value of each component.
    dc: [i32; 4],
    /// Blocks still to come without further coefficients (the end-of-band run).
    eob_run: u32,
}

impl<'t> Scan<'t> {
    pub(crate) fn read(
        segment: &[u8],
        frame: &Frame,
        dc: &'t [Option<HuffmanTable>; 4],
        ac: &'t [Option<HuffmanTable>; 4],
        restart_interval: usize,
    ) -> Result<Self> {
        let too_short = || Error::Damaged("a scan header is too short".into());
        let (&count, rest) = segment.split_first().ok_or_else(too_short)?;
        let count = usize::from(count);
        let (selectors, rest) = rest.split_at_checked(2 * count).ok_or_else(too_short)?;
        let &[first, last, approximation, ..] = rest else {
            return Err(too_short());
        };
        if !(1..=4).contains(&count) {
            return damaged("a scan has no components, or more than four");
        }
        let mut components = Vec::new();
        for &[id, tables] in selectors.as_chunks::<2>().0 {
            let Some(component) = frame.components.iter().position(|c| c.id == id) else {
                return damaged("a scan names a component that the frame does not have");
            };
            components.push(ScanComponent {
                component,
                dc: dc.get(usize::from(tables >> 4)).and_then(Option::as_ref),
                ac: ac.get(usize::from(tables & 15)).and_then(Option::as_ref),
            });
        }
        let (first, last, low) = if frame.progressive {
            (first.into(), last.into(), u32::from(approximation & 15))
        } else {
            (0, 63, 0)
        };
        let scan = Self {
            components,
            first,
            last,
            refining: frame.progressive && approximation >> 4 != 0,
            low,
            progressive: frame.progressive,
            restart_interval,
        };
        scan.check()?;
        Ok(scan)
    }

    fn check(&self) -> Result<()> {
        if self.last > 63 || self.first > self.last || self.low > 13 {
            return damaged("a scan's range of coefficients is impossible");
        }
        if self.progressive && self.first == 0 && self.last != 0 {
            return damaged("a progressive scan mixes DC and AC");
        }
        if self.first > 0 && self.components.len() > 1 {
            return damaged("a scan of AC coefficients has several components");
        }
        let needs_dc = self.first == 0 && !self.refining;
        let needs_ac = self.last > 0;
        let complete = |part: &ScanComponent| {
            (part.dc.is_some() || !needs_dc) && (part.ac.is_some() || !needs_ac)
        };
        if !self.components.iter().all(complete) {
            return damaged("a Huffman table is missing");
        }
        Ok(())
    }

    pub(crate) fn component_indices(&self) -> impl Iterator<Item = usize> {
        self.components.iter().map(|part| part.component)
    }

    /// Whether this scan alone holds the whole image, all components in their order.
    pub(crate) fn is_whole_picture(&self, frame: &Frame) -> bool {
        !self.progressive && self.component_indices().eq(0..frame.components.len())
    }

    /// Reads all blocks of the scan into the frame's coefficients.
    pub(crate) fn decode(&self, frame: &mut Frame, entropy: &mut Entropy<'_>) -> Result<()> {
        frame.allocate();
        let mut bits = entropy.bits();
        let (alone, wide, high) = match self.components.as_slice() {
            [part] => {
                let component = &frame.components[part.component];
                (true, component.blocks_wide, component.blocks_high)
            }
            _ => (false, frame.mcus_per_row(), frame.mcu_rows()),
        };
        let mut running = Running::default();
        for group in 0..wide * high {
            let restart = self.restart_interval > 0 && group.is_multiple_of(self.restart_interval);
            if restart && group > 0 {
                running = Running::default();
                if !entropy.restart() {
                    return damaged("a restart marker is missing");
                }
                bits = entropy.bits();
            }
            let (y, x) = (group / wide, group % wide);
            for (number, part) in self.components.iter().enumerate() {
                let component = &mut frame.components[part.component];
                let (rows, columns) = if alone {
                    (1, 1)
                } else {
                    (component.vertical, component.horizontal)
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
        part: &ScanComponent,
        number: usize,
        running: &mut Running,
        bits: &mut Bits,
    ) -> Result<()> {
        if self.first == 0 {
            if self.refining {
                block[0] |= (bits.take(1) << self.low) as i16;
            } else if let Some(table) = part.dc {
                let value = dc(table, &mut running.dc[number], bits)?;
                block[0] = (value << self.low) as i16;
            }
        }
        let eob_run = &mut running.eob_run;
        match part.ac {
            Some(table) if self.last > 0 => {
                if self.refining {
                    self.refine_ac(block, table, eob_run, bits)
                } else if self.progressive {
                    ac::<true>(
                        block,
                        table,
                        (self.first, self.last, self.low),
                        eob_run,
                        bits,
                    )
                } else {
                    ac::<false>(block, table, ALL_AC, eob_run, bits)
                }
            }
            _ => Ok(()),
        }
    }

    /// One more bit of a band of AC coefficients.
    fn refine_ac(
        &self,
        block: &mut Block,
        table: &HuffmanTable,
        eob_run: &mut u32,
        bits: &mut Bits,
    ) -> Result<()> {
        let bit = 1i16 << self.low;
        let mut k = self.first;
        if *eob_run == 0 {
            while k <= self.last {
                let symbol = table.decode(bits).ok_or_else(unknown_code)?;
                let (mut run, size) = (u32::from(symbol >> 4), symbol & 15);
                let mut value = 0;
                if size == 1 {
                    value = if bits.take(1) == 1 { bit } else { -bit };
                } else if size != 0 {
                    return damaged("a refined coefficient is too large");
                } else if run < 15 {
                    *eob_run = (1 << run) + bits.take(run);
                    break;
                }
                while k <= self.last {
                    let coefficient = &mut block[usize::from(ZIGZAG[k])];
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
        if *eob_run > 0 {
            for &place in &ZIGZAG[k.min(64)..=self.last] {
                let coefficient = &mut block[usize::from(place)];
                if *coefficient != 0 {
                    refine(coefficient, bit, bits);
                }
            }
            *eob_run -= 1;
        }
        Ok(())
    }
}

/// Adds the next bit to a coefficient, away from zero, unless it has it already.
fn refine(coefficient: &mut i16, bit: i16, bits: &mut Bits) {
    if bits.take(1) == 1 && *coefficient & bit == 0 {
        let step = if *coefficient > 0 { bit } else { -bit };
        *coefficient = coefficient.wrapping_add(step);
    }
}
