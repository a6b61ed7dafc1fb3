//! Scans that hold a part of the coefficients: progressive ones, and sequential ones of
//! some of the components.

use crate::arithmetic::{ArithmeticDecoder, Conditioning};
use crate::bits::{Bits, Entropy};
use crate::coefficients::{Band, Block, ZIGZAG, ac, dc};
use crate::error::{Error, Result, damaged, ends_early, unknown_code};
use crate::frame::Frame;
use crate::huffman::HuffmanTable;
use crate::tables::Tables;

/// A component of a scan, with its tables.
pub(crate) struct ScanComponent<'t> {
    component: usize,
    /// Numbers of its DC and AC tables.
    tables: (usize, usize),
    pub(crate) dc: Option<&'t HuffmanTable>,
    pub(crate) ac: Option<&'t HuffmanTable>,
}

/// A scan header: which coefficients of which components follow.
pub(crate) struct Scan<'t> {
    pub(crate) components: Vec<ScanComponent<'t>>,
    band: Band,
    progressive: bool,
    /// If the scan is coded arithmetically.
    conditioning: Option<Conditioning>,
    pub(crate) restart_interval: usize,
}

/// What carries over from block to block until a restart.
enum BlockDecoder<'e> {
    Huffman(HuffmanDecoder<'e>),
    Arithmetic(Box<ArithmeticDecoder<'e>>),
}

struct HuffmanDecoder<'e> {
    bits: Bits<'e>,
    /// The last DC value of each component.
    dc: [i32; 4],
    /// Blocks still to come without further coefficients (the end-of-band run).
    eob_run: u32,
}

impl<'t> Scan<'t> {
    pub(crate) fn read(
        segment: &[u8],
        frame: &Frame,
        tables: &'t Tables,
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
        let mut components: Vec<ScanComponent<'_>> = Vec::new();
        for &[id, numbers] in selectors.as_chunks::<2>().0 {
            // Some files call all their components the same.
            let is_new = |index| components.iter().all(|c| c.component != index);
            let mut named = frame.components.iter().enumerate();
            let Some((component, _)) = named.find(|(index, c)| c.id == id && is_new(*index)) else {
                return damaged("a scan names a component that the frame does not have");
            };
            let numbers = (usize::from(numbers >> 4), usize::from(numbers & 15));
            components.push(ScanComponent {
                component,
                tables: numbers,
                dc: tables.dc.get(numbers.0).and_then(Option::as_ref),
                ac: tables.ac.get(numbers.1).and_then(Option::as_ref),
            });
        }
        let band = Band {
            first: first.into(),
            last: last.into(),
            refining: approximation >> 4 != 0,
            low: u32::from(approximation & 15),
        };
        let scan = Self {
            components,
            band: if frame.progressive { band } else { Band::ALL },
            progressive: frame.progressive,
            conditioning: frame.arithmetic.then_some(tables.conditioning),
            restart_interval,
        };
        scan.check()?;
        Ok(scan)
    }

    fn check(&self) -> Result<()> {
        let Band {
            first,
            last,
            refining,
            low,
        } = self.band;
        if last > 63 || first > last || low > 13 {
            return damaged("a scan's range of coefficients is impossible");
        }
        if self.progressive && first == 0 && last != 0 {
            return damaged("a progressive scan mixes DC and AC");
        }
        if first > 0 && self.components.len() > 1 {
            return damaged("a scan of AC coefficients has several components");
        }
        let (needs_dc, needs_ac) = (first == 0 && !refining, last > 0);
        let has_tables = |part: &ScanComponent<'_>| match self.conditioning {
            Some(_) => part.tables.0 < 4 && part.tables.1 < 4,
            None => (part.dc.is_some() || !needs_dc) && (part.ac.is_some() || !needs_ac),
        };
        if !self.components.iter().all(has_tables) {
            return damaged("a table that a scan needs is missing");
        }
        Ok(())
    }

    /// Decoder of the stretch up to the next restart.
    fn decoder<'e>(&self, entropy: &'e Entropy<'_>) -> BlockDecoder<'e> {
        if let Some(conditioning) = self.conditioning {
            let decoder = ArithmeticDecoder::new(entropy.stretch(), conditioning);
            return BlockDecoder::Arithmetic(Box::new(decoder));
        }
        BlockDecoder::Huffman(HuffmanDecoder {
            bits: entropy.bits(),
            dc: [0; 4],
            eob_run: 0,
        })
    }

    pub(crate) fn component_indices(&self) -> impl Iterator<Item = usize> {
        self.components.iter().map(|part| part.component)
    }

    pub(crate) fn band(&self) -> Band {
        self.band
    }

    /// Whether this scan alone holds the whole image, all components in their order, in
    /// Huffman codes.
    pub(crate) fn is_whole_baseline(&self, frame: &Frame) -> bool {
        !self.progressive
            && !frame.arithmetic
            && self.component_indices().eq(0..frame.components.len())
    }

    /// Reads all blocks of the scan into the frame's coefficients.
    pub(crate) fn decode(&self, frame: &mut Frame, entropy: &mut Entropy<'_>) -> Result<()> {
        frame.allocate()?;
        let mut decoder = self.decoder(entropy);
        let (alone, wide, high) = match self.components.as_slice() {
            [part] => {
                let component = &frame.components[part.component];
                (true, component.blocks_wide, component.blocks_high)
            }
            _ => (false, frame.mcus_per_row(), frame.mcu_rows()),
        };
        for group in 0..wide * high {
            let restart = self.restart_interval > 0 && group.is_multiple_of(self.restart_interval);
            if restart && group > 0 {
                if decoder.overran() {
                    return Err(ends_early());
                }
                entropy.restart()?;
                decoder = self.decoder(entropy);
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
                        match &mut decoder {
                            BlockDecoder::Huffman(huffman) => {
                                self.block(block, part, number, huffman)?;
                            }
                            BlockDecoder::Arithmetic(arithmetic) => {
                                arithmetic.block(block, self.band, part.tables, number)?;
                            }
                        }
                    }
                }
            }
            if x + 1 == wide && decoder.overran() {
                return Err(ends_early());
            }
        }
        Ok(())
    }

    #[inline]
    fn block(
        &self,
        block: &mut Block,
        part: &ScanComponent<'_>,
        number: usize,
        decoder: &mut HuffmanDecoder<'_>,
    ) -> Result<()> {
        let HuffmanDecoder {
            bits,
            dc: last,
            eob_run,
        } = decoder;
        let band = self.band;
        if band.first == 0 {
            if band.refining {
                block[0] |= (bits.take(1) << band.low) as i16;
            } else if let Some(table) = part.dc {
                let value = dc(table, &mut last[number], bits)?;
                block[0] = (value << band.low) as i16;
            }
        }
        match part.ac {
            Some(table) if band.last > 0 => {
                if band.refining {
                    self.refine_ac(block, table, eob_run, bits)
                } else if self.progressive {
                    ac::<true>(block, table, band, eob_run, bits)
                } else {
                    ac::<false>(block, table, band, eob_run, bits)
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
        bits: &mut Bits<'_>,
    ) -> Result<()> {
        let Band {
            first, last, low, ..
        } = self.band;
        let bit = 1i16 << low;
        let mut k = first;
        if *eob_run == 0 {
            while k <= last {
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
                while k <= last {
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
            for &place in &ZIGZAG[k.min(64)..=last] {
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

impl BlockDecoder<'_> {
    /// Whether more bits were read than there are; an arithmetic code goes on with zeros.
    fn overran(&self) -> bool {
        match self {
            Self::Huffman(huffman) => huffman.bits.overran(),
            Self::Arithmetic(_) => false,
        }
    }
}

/// Adds the next bit to a coefficient, away from zero, unless it has it already.
fn refine(coefficient: &mut i16, bit: i16, bits: &mut Bits) {
    if bits.take(1) == 1 && *coefficient & bit == 0 {
        let step = if *coefficient > 0 { bit } else { -bit };
        *coefficient = coefficient.wrapping_add(step);
    }
}
