//! The marker segments of a file.

use std::borrow::Cow;

use memchr::memmem;

use crate::assemble::{Decoded, RowHandler, assemble};
use crate::baseline;
use crate::bits::Entropy;
use crate::color::ColorSpace;
use crate::error::{Result, damaged, truncated, unsupported};
use crate::frame::Frame;
use crate::scan::Scan;
use crate::tables::Tables;

/// What segments define for the scans after them.
#[derive(Default)]
struct State<'r> {
    tables: Tables,
    restart_interval: usize,
    /// The transform that an Adobe segment names.
    adobe_transform: Option<u8>,
    /// Whether a JFIF segment says that the colours are YCbCr.
    jfif: bool,
    frame: Option<Frame>,
    /// The image, if one scan held all of it.
    image: Option<Decoded>,
    /// How to decode a file inside of another format's.
    embedded: Option<Components>,
    /// What takes the rows of the one image, if it is not kept.
    handler: Option<RowHandler<'r>>,
}

/// Decodes a whole JPEG file.
///
/// # Errors
/// [`Error::Unsupported`](crate::Error::Unsupported) for a kind of JPEG that TensorFlow does
/// not decode either, [`Error::Damaged`](crate::Error::Damaged) for a file that is truncated
/// or breaks the format's rules.
pub fn decode(bytes: &[u8]) -> Result<Decoded> {
    decode_to(bytes, None)
}

/// Decodes a whole JPEG file and hands out its rows of pixels from the top, at least one at a
/// time, as [`Decoded::pixels`] would hold them.
///
/// The picture is never held as a whole. A sequential file in one scan, which most are, takes
/// memory for some of its rows; a progressive one, or one in several scans, for all of its coefficients.
///
/// ```
/// let file = std::fs::read("tests/data/rgb420.jpg")?;
/// let mut pixels = Vec::new();
/// simclr_jpeg::decode_rows(&file, &mut |rows| pixels.extend_from_slice(rows))?;
/// assert_eq!(pixels, simclr_jpeg::decode(&file)?.pixels);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`decode`]. What was handed out before belongs to a damaged file.
pub fn decode_rows(bytes: &[u8], rows: &mut dyn FnMut(&[u8])) -> Result<()> {
    decode_to(bytes, Some(rows)).map(drop)
}

/// What becomes of the components of a JPEG file that is a part of another format's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Components {
    /// They are kept as they are.
    Stored,
    /// Three of them are YCbCr and become RGB.
    YCbCr,
    /// Three of them are YCbCr and become RGB if the file says so: by a segment of JFIF or Adobe,
    /// or, without one of Adobe, by components with fewer samples than others. Else they are RGB.
    Marked,
}

/// Decodes a JPEG file that is a part of another format's file, such as a strip of TIFF: by
/// libjpeg's accurate inverse transform, as readers of such files do, and to pixels of as many
/// bytes as there are components, two included. The end marker may be missing, as other readers
/// have it, unless the file is coded arithmetically, where nothing else shows that data are cut off.
///
/// # Errors
/// As [`decode`], and for four components of which markers or the sampling tell that they are not
/// stored as they are.
pub fn decode_embedded(bytes: &[u8], components: Components) -> Result<Decoded> {
    let is_open = !is_complete(bytes);
    let bytes = if is_open {
        Cow::Owned([bytes, &END].concat())
    } else {
        Cow::Borrowed(bytes)
    };
    let mut file = File::new(&bytes)?;
    file.state.embedded = Some(components);
    while !file.read_segment()? {
        let frame = file.state.frame.as_ref();
        if is_open && frame.is_some_and(|frame| frame.arithmetic) {
            return Err(truncated());
        }
    }
    file.state.finish()
}

fn decode_to(bytes: &[u8], handler: Option<RowHandler<'_>>) -> Result<Decoded> {
    let mut file = File::new(bytes)?;
    file.state.handler = handler;
    while !file.read_segment()? {}
    file.state.finish()
}

/// Height and width of a JPEG file's picture, which is not decoded.
///
/// # Errors
/// As [`decode`], of what comes before the picture.
pub fn dimensions(bytes: &[u8]) -> Result<(usize, usize)> {
    let mut file = File::new(bytes)?;
    loop {
        if file.read_segment()? {
            return damaged("there is no picture");
        }
        if let Some(frame) = &file.state.frame {
            return Ok((frame.height, frame.width));
        }
    }
}

/// The end marker.
const END: [u8; 2] = [0xFF, 0xD9];

/// Whether the end marker of a JPEG file is there, behind its first scan if it has one. [`decode`]
/// does not need it: it refuses truncated files.
pub fn is_complete(bytes: &[u8]) -> bool {
    let mut position = 2;
    while let Some((marker, content)) = next_marker(bytes, position) {
        let has_impossible_length = matches!(bytes[content..], [0, 0 | 1, ..]);
        match (marker, segment(bytes, content)) {
            (0xD9, _) => return true,
            (0xDA, _) => return memmem::find(&bytes[content..], &END).is_some(),
            (0x01 | 0xD0..=0xD8, _) => position = content,
            _ if has_impossible_length => return memmem::find(&bytes[content..], &END).is_some(),
            (_, Ok(segment)) => position = content + 2 + segment.len(),
            _ => return false,
        }
    }
    false
}

/// A file that is read segment by segment.
struct File<'a, 'r> {
    bytes: &'a [u8],
    position: usize,
    state: State<'r>,
}

impl<'a> File<'a, '_> {
    fn new(bytes: &'a [u8]) -> Result<Self> {
        if !bytes.starts_with(&[0xFF, 0xD8]) {
            return damaged("the start marker is missing");
        }
        Ok(Self {
            bytes,
            position: 2,
            state: State::default(),
        })
    }

    /// Reads the next segment, a scan's data with it; true at the end marker.
    fn read_segment(&mut self) -> Result<bool> {
        let (marker, content) = next_marker(self.bytes, self.position).ok_or_else(truncated)?;
        self.position = content;
        match marker {
            0xD9 => return Ok(true),
            0xD8 => return damaged("a second picture begins before the end of the first"),
            // Markers without content.
            0x01 | 0xD0..=0xD7 => {}
            _ => {
                let segment = segment(self.bytes, content)?;
                self.position += 2 + segment.len();
                if marker == 0xDA {
                    self.position = self.state.scan(self.bytes, segment, self.position)?;
                } else {
                    self.state.define(marker, segment, self.bytes.len())?;
                }
            }
        }
        Ok(false)
    }
}

/// The next marker from `position` on, and the position behind it. Other bytes before it are
/// skipped, as libjpeg does.
fn next_marker(bytes: &[u8], position: usize) -> Option<(u8, usize)> {
    let rest = bytes.get(position..)?;
    let is_marker = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF);
    let offset = rest.windows(2).position(is_marker)?;
    Some((rest[offset + 1], position + offset + 2))
}

/// The content of the segment whose length stands at `position`.
fn segment(bytes: &[u8], position: usize) -> Result<&[u8]> {
    if let Some([0, length @ (0 | 1), ..]) = bytes.get(position..) {
        return damaged(format!(
            "a segment has a length of {length}, where at least 2 should be"
        ));
    }
    let content = bytes.get(position..).and_then(|rest| match rest {
        [high, low, ..] => rest.get(2..usize::from(u16::from_be_bytes([*high, *low]))),
        _ => None,
    });
    content.map_or_else(
        || damaged("it is truncated: a segment goes on behind its end"),
        Ok,
    )
}

impl State<'_> {
    fn define(&mut self, marker: u8, segment: &[u8], file_bytes: usize) -> Result<()> {
        match marker {
            0xC4 => self.tables.read_huffman(segment)?,
            0xCC => self.tables.read_conditioning(segment)?,
            0xDB => self.tables.read_quantization(segment)?,
            0xC8 => return unsupported("an extension of JPEG"),
            0xDE | 0xDF => return unsupported("hierarchical"),
            0xF7 => return unsupported("JPEG-LS"),
            0xC0..=0xCF if self.frame.is_some() => return damaged("there are two frames"),
            0xC0..=0xCF => {
                let frame = Frame::read(segment, marker, file_bytes)?;
                if frame.components.len() == 2 && self.embedded.is_none() {
                    return unsupported("2 components");
                }
                self.frame = Some(frame);
            }
            0xDD => {
                let &[high, low] = segment else {
                    return damaged("the restart interval is no number of two bytes");
                };
                self.restart_interval = usize::from(u16::from_be_bytes([high, low]));
            }
            // Shorter segments of these names are something else, for libjpeg too.
            0xE0 if segment.len() >= 14 => self.jfif |= segment.starts_with(b"JFIF\0"),
            0xEE if segment.len() >= 12 && segment.starts_with(b"Adobe") => {
                self.adobe_transform = Some(segment[11]);
            }
            // Applications' segments, comments, and a height that is known already.
            0xDC | 0xE0..=0xEF | 0xFE => {}
            _ => return unsupported(format!("a segment of the unknown kind {marker:02X}")),
        }
        Ok(())
    }

    /// Reads a scan and gives the position behind it.
    fn scan(&mut self, bytes: &[u8], segment: &[u8], start: usize) -> Result<usize> {
        if self.image.is_some() {
            return damaged("a scan follows the one that held all of the picture");
        }
        let color = match self.embedded {
            Some(components) => self.embedded_color_space(components)?,
            None => self.color_space(),
        };
        let Some(frame) = &mut self.frame else {
            return damaged("a scan comes before the frame");
        };
        frame.color = color;
        frame.is_accurate = self.embedded.is_some();
        if !frame.progressive {
            self.tables.add_standard_huffman()?;
        }
        let scan = Scan::read(segment, frame, &self.tables, self.restart_interval)?;
        frame.settle_quantization(scan.component_indices(), &self.tables.quantization)?;
        frame.advance(scan.component_indices(), scan.band())?;
        if scan.is_whole_baseline(frame) {
            let (image, end) = baseline::decode(&scan, frame, bytes, start, self.handler.take())?;
            self.image = Some(image);
            return Ok(end);
        }
        let mut entropy = Entropy::new(bytes, start)?;
        scan.decode(frame, &mut entropy)?;
        entropy.end()
    }

    /// What the components are: libjpeg's guesses, in its order.
    fn color_space(&self) -> ColorSpace {
        let components = self.frame.iter().flat_map(|frame| &frame.components);
        let ids: Vec<u8> = components.map(|component| component.id).collect();
        match (ids.as_slice(), self.adobe_transform) {
            ([_], _) => ColorSpace::Gray,
            ([_, _, _, _], None) => ColorSpace::Cmyk,
            ([_, _, _, _], Some(0)) => ColorSpace::AdobeCmyk,
            ([_, _, _, _], Some(_)) => ColorSpace::AdobeYcck,
            (_, Some(0)) | (b"RGB", None) if !self.jfif => ColorSpace::Rgb,
            _ => ColorSpace::YCbCr,
        }
    }

    fn embedded_color_space(&self, components: Components) -> Result<ColorSpace> {
        let count = self
            .frame
            .as_ref()
            .map_or(0, |frame| frame.components.len());
        let is_subsampled = self.frame.as_ref().is_some_and(Frame::is_subsampled);
        let transform = self.adobe_transform;
        if count == 4 && (is_subsampled || transform.is_some_and(|number| number != 0)) {
            return unsupported("four components of which three are YCbCr");
        }
        let is_marked = self.jfif || transform.map_or(is_subsampled, |number| number != 0);
        Ok(match (count, components) {
            (3, Components::YCbCr) => ColorSpace::YCbCr,
            (3, Components::Marked) if is_marked => ColorSpace::YCbCr,
            (3, _) => ColorSpace::Rgb,
            _ => ColorSpace::Stored,
        })
    }

    fn finish(self) -> Result<Decoded> {
        if let Some(image) = self.image {
            return Ok(image);
        }
        let Some(frame) = self.frame else {
            return damaged("there is no picture");
        };
        frame.check_complete()?;
        assemble(&frame, self.handler)
    }
}
