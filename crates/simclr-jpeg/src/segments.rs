//! The marker segments of a file.

use crate::assemble::{Decoded, assemble};
use crate::baseline;
use crate::bits::Entropy;
use crate::coefficients::ZIGZAG;
use crate::error::{Result, damaged, unsupported};
use crate::frame::Frame;
use crate::huffman::HuffmanTable;
use crate::scan::Scan;

/// What segments define for the scans after them.
#[derive(Default)]
struct State {
    quantization: [Option<[u16; 64]>; 4],
    dc: [Option<HuffmanTable>; 4],
    ac: [Option<HuffmanTable>; 4],
    restart_interval: usize,
    /// The transform that an Adobe segment names.
    adobe_transform: Option<u8>,
    /// Whether a JFIF segment says that the colours are YCbCr.
    jfif: bool,
    frame: Option<Frame>,
    /// The image, if one scan held all of it.
    image: Option<Decoded>,
}

/// Reads and decodes a whole file.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded> {
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return damaged("the start marker is missing");
    }
    let mut state = State::default();
    let mut position = 2;
    loop {
        let Some(&[first, marker]) = bytes.get(position..position + 2) else {
            return damaged("the file ends before its end marker");
        };
        match (first, marker) {
            (0xFF, 0xD9) => break,
            // Fill bytes, and markers without content.
            (0xFF, 0xFF) => position += 1,
            (0xFF, 0x01 | 0xD0..=0xD8) => position += 2,
            (0xFF, _) => {
                let segment = segment(bytes, position + 2)?;
                position += 4 + segment.len();
                if marker == 0xDA {
                    position = state.scan(bytes, segment, position)?;
                } else {
                    state.define(marker, segment, bytes.len())?;
                }
            }
            _ => return damaged("there is no marker where one should be"),
        }
    }
    state.finish()
}

/// Whether an end-of-image marker follows the first scan of a JPEG file.
///
/// Most decoders fill what is missing of a truncated file with grey and report success;
/// this tells such files apart without decoding them. [`decode`](crate::decode) does not
/// need it: it refuses truncated files.
pub fn is_complete(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    // Segments before the scan are skipped by their lengths, because a thumbnail in one
    // of them has an end marker too.
    let mut position = 2;
    loop {
        match bytes.get(position..) {
            // A fill byte before a marker.
            Some([0xFF, 0xFF, ..]) => position += 1,
            // Inside a scan the byte `FF` is always followed by a zero or by a restart
            // marker. The end marker is usually the last two bytes.
            Some([0xFF, START_OF_SCAN, scan @ ..]) => {
                return scan.windows(2).rev().any(|pair| pair == [0xFF, 0xD9]);
            }
            Some([0xFF, _, high, low, ..]) => {
                position += 2 + usize::from(u16::from_be_bytes([*high, *low]));
            }
            _ => return false,
        }
    }
}

/// The content of the segment whose length stands at `position`.
fn segment(bytes: &[u8], position: usize) -> Result<&[u8]> {
    let content = bytes.get(position..).and_then(|rest| match rest {
        [high, low, ..] => rest.get(2..usize::from(u16::from_be_bytes([*high, *low]))),
        _ => None,
    });
    content.map_or_else(|| damaged("a segment is longer than the file"), Ok)
}

impl State {
    fn define(&mut self, marker: u8, segment: &[u8], file_bytes: usize) -> Result<()> {
        match marker {
            0xC0..=0xC2 if self.frame.is_some() => return damaged("there are two frames"),
            0xC0..=0xC2 => self.frame = Some(Frame::read(segment, marker == 0xC2, file_bytes)?),
            0xC4 => self.huffman(segment)?,
            0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                return unsupported(format!("coding process {}", marker - 0xC0));
            }
            0xCC => return unsupported("arithmetic coding"),
            0xDB => self.quantization(segment)?,
            0xDD => {
                let &[high, low, ..] = segment else {
                    return damaged("the restart interval is too short");
                };
                self.restart_interval = usize::from(u16::from_be_bytes([high, low]));
            }
            0xE0 => self.jfif |= segment.starts_with(b"JFIF\0"),
            0xEE if segment.starts_with(b"Adobe") => {
                self.adobe_transform = segment.get(11).copied();
            }
            _ => {}
        }
        Ok(())
    }

    fn quantization(&mut self, mut segment: &[u8]) -> Result<()> {
        while let [head, rest @ ..] = segment {
            let size = if head >> 4 == 0 { 1 } else { 2 };
            let slot = self.quantization.get_mut(usize::from(head & 15));
            let (Some(values), Some(slot)) = (rest.get(..64 * size), slot) else {
                return damaged("a quantisation table is too short or badly numbered");
            };
            let mut table = [0; 64];
            for (&place, value) in ZIGZAG.iter().zip(values.chunks_exact(size)) {
                let bytes = value.iter();
                table[usize::from(place)] = bytes.fold(0, |sum, &byte| sum << 8 | u16::from(byte));
            }
            *slot = Some(table);
            segment = &rest[64 * size..];
        }
        Ok(())
    }

    fn huffman(&mut self, mut segment: &[u8]) -> Result<()> {
        while let [head, rest @ ..] = segment {
            let Some((counts, rest)) = rest.split_first_chunk::<16>() else {
                return damaged("a Huffman table is too short");
            };
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let is_dc = head >> 4 == 0;
            let tables = if is_dc { &mut self.dc } else { &mut self.ac };
            let (Some(symbols), Some(slot)) =
                (rest.get(..total), tables.get_mut(usize::from(head & 15)))
            else {
                return damaged("a Huffman table is too short or badly numbered");
            };
            *slot = Some(HuffmanTable::new(counts, symbols)?);
            segment = &rest[total..];
        }
        Ok(())
    }

    /// Reads a scan and gives the position of the marker after it.
    fn scan(&mut self, bytes: &[u8], segment: &[u8], start: usize) -> Result<usize> {
        if self.image.is_some() {
            return damaged("a scan follows the one that held all of the picture");
        }
        let rgb = self.is_rgb();
        let Some(frame) = &mut self.frame else {
            return damaged("a scan comes before the frame");
        };
        frame.rgb = rgb;
        let scan = Scan::read(segment, frame, &self.dc, &self.ac, self.restart_interval)?;
        frame.settle_quantization(scan.component_indices(), &self.quantization)?;
        let mut entropy = Entropy::new(bytes, start);
        if scan.is_whole_picture(frame) {
            self.image = Some(baseline::decode(&scan, frame, &mut entropy)?);
        } else {
            scan.decode(frame, &mut entropy)?;
        }
        match entropy.next_marker() {
            Some(position) => Ok(position),
            None => damaged("the file ends before its end marker"),
        }
    }

    /// Whether three components are red, green and blue: libjpeg's guesses, in its
    /// order.
    fn is_rgb(&self) -> bool {
        let components = self.frame.iter().flat_map(|frame| &frame.components);
        match self.adobe_transform {
            _ if self.jfif => false,
            Some(transform) => transform == 0,
            None => components.map(|component| component.id).eq(*b"RGB"),
        }
    }

    fn finish(self) -> Result<Decoded> {
        if let Some(image) = self.image {
            return Ok(image);
        }
        let Some(frame) = self.frame else {
            return damaged("there is no picture");
        };
        if frame.components.iter().any(|c| c.quantization.is_none()) {
            return damaged("a component has no scan");
        }
        assemble(&frame)
    }
}
