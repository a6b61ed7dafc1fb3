use std::convert::Infallible;
use std::io::{self, Read};

use fax::maps::{Mode, black, mode, white};
use fax::{BitReader, ByteReader};

use super::layout::compression;

/// Rows that are compressed as CCITT's recommendations T.4 (group 3) and T.6 (group 4) say.
/// Their bytes hold eight pixels each; 1 is black.
pub(super) struct Fax {
    bits: Bits,
    compression: u64,
    /// Whether T.4's rows may be coded by the row above.
    is_two_dimensional: bool,
    width: usize,
    /// Where the colour changes in the row above, white first.
    changes: Vec<usize>,
    row: io::Cursor<Vec<u8>>,
}

type Bits = ByteReader<Box<dyn Iterator<Item = Result<u8, Infallible>>>>;

/// A row ends where its data do, or is not as they say.
struct Broken;

impl Fax {
    pub(super) fn new(compression: u64, t4_options: u64, bytes: Vec<u8>, width: usize) -> Self {
        // Codes are looked up by more bits than the last of them has.
        let padded = bytes.into_iter().chain([0; 4]);
        let bytes: Box<dyn Iterator<Item = _>> = Box::new(padded.map(Ok));
        let Ok(bits) = ByteReader::new(bytes);
        Self {
            bits,
            compression,
            is_two_dimensional: t4_options & 1 == 1,
            width,
            changes: Vec::new(),
            row: io::Cursor::default(),
        }
    }

    fn decode_row(&mut self) -> Result<(), Broken> {
        self.changes = match self.compression {
            compression::CCITT_T6 => self.row_by_the_one_above()?,
            compression::CCITT_RLE => {
                let changes = self.row_by_runs()?;
                self.consume(self.bits.bits_to_byte_boundary());
                changes
            }
            _ => {
                self.skip_end_of_line();
                if self.is_two_dimensional && self.bits.peek(1).ok_or(Broken)? == 0 {
                    self.consume(1);
                    self.row_by_the_one_above()?
                } else {
                    self.consume(u8::from(self.is_two_dimensional));
                    self.row_by_runs()?
                }
            }
        };
        let mut row = vec![0; self.width.div_ceil(8)];
        for run in self.changes.chunks(2) {
            for pixel in run[0]..run.get(1).copied().unwrap_or(self.width) {
                row[pixel / 8] |= 0x80 >> (pixel % 8);
            }
        }
        self.row = io::Cursor::new(row);
        Ok(())
    }

    /// The mark before a row of T.4: at least eleven zeros, and a one.
    fn skip_end_of_line(&mut self) {
        if self.bits.peek(11) == Some(0) {
            while self.bits.peek(1) == Some(0) {
                self.consume(1);
            }
            self.consume(1);
        }
    }

    fn row_by_runs(&mut self) -> Result<Vec<usize>, Broken> {
        let (mut changes, mut position, mut is_black) = (Vec::new(), 0, false);
        while position < self.width {
            position += self.run(is_black)?;
            self.change(&mut changes, position)?;
            is_black = !is_black;
        }
        Ok(changes)
    }

    fn row_by_the_one_above(&mut self) -> Result<Vec<usize>, Broken> {
        let (mut changes, mut position, mut is_black) = (Vec::new(), None, false);
        while position.is_none_or(|position| position < self.width) {
            let above = self.change_above(position, is_black);
            let at = |index: usize| self.changes.get(index).copied().unwrap_or(self.width);
            let (first, second) = (at(above), at(above + 1));
            let start = position.unwrap_or(0);
            position = Some(match mode::decode(&mut self.bits).ok_or(Broken)? {
                Mode::Pass => second,
                Mode::Vertical(by) => {
                    let position = first.checked_add_signed(by.into()).ok_or(Broken)?;
                    if position < start {
                        return Err(Broken);
                    }
                    self.change(&mut changes, position)?;
                    is_black = !is_black;
                    position
                }
                Mode::Horizontal => {
                    let middle = start + self.run(is_black)?;
                    self.change(&mut changes, middle)?;
                    let end = middle + self.run(!is_black)?;
                    self.change(&mut changes, end)?;
                    end
                }
                Mode::Extension | Mode::EOF => return Err(Broken),
            });
        }
        Ok(changes)
    }

    /// The first change of the row above that lies right of a position and is one from the
    /// present colour to the other.
    fn change_above(&self, position: Option<usize>, is_black: bool) -> usize {
        let right = |&change: &usize| position.is_none_or(|position| change > position);
        let first = self.changes.partition_point(|change| !right(change));
        first + usize::from((first % 2 == 1) != is_black)
    }

    /// Notes a change of colour. Two at the same place are none.
    fn change(&self, changes: &mut Vec<usize>, position: usize) -> Result<(), Broken> {
        if position > self.width {
            return Err(Broken);
        }
        if changes.last() == Some(&position) {
            changes.pop();
        } else if position < self.width {
            changes.push(position);
        }
        Ok(())
    }

    /// The length of a run: codes of multiples of 64, and one below 64.
    fn run(&mut self, is_black: bool) -> Result<usize, Broken> {
        let mut length = 0;
        loop {
            let code = if is_black {
                black::decode(&mut self.bits)
            } else {
                white::decode(&mut self.bits)
            };
            let code = usize::from(code.ok_or(Broken)?);
            length += code;
            if length > self.width {
                return Err(Broken);
            }
            if code < 64 {
                return Ok(length);
            }
        }
    }

    fn consume(&mut self, bits: u8) {
        let Ok(()) = self.bits.consume(bits);
    }
}

impl Read for Fax {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.row.position() as usize == self.row.get_ref().len() {
            let broken =
                |Broken| io::Error::other("a row of CCITT's code ends early or is unknown");
            self.decode_row().map_err(broken)?;
        }
        self.row.read(out)
    }
}
