use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::io::Read;

use super::reason::{damaged, unsupported};
use crate::decode::content::Content;

/// The tags that say where and how the pixels are stored.
pub(super) mod tag {
    pub(crate) const NEW_SUBFILE_TYPE: u16 = 254;
    pub(crate) const SUBFILE_TYPE: u16 = 255;
    pub(crate) const WIDTH: u16 = 256;
    pub(crate) const HEIGHT: u16 = 257;
    pub(crate) const BITS_PER_SAMPLE: u16 = 258;
    pub(crate) const COMPRESSION: u16 = 259;
    pub(crate) const PHOTOMETRIC: u16 = 262;
    pub(crate) const FILL_ORDER: u16 = 266;
    pub(crate) const STRIP_OFFSETS: u16 = 273;
    pub(crate) const ORIENTATION: u16 = 274;
    pub(crate) const SAMPLES_PER_PIXEL: u16 = 277;
    pub(crate) const ROWS_PER_STRIP: u16 = 278;
    pub(crate) const STRIP_BYTE_COUNTS: u16 = 279;
    pub(crate) const PLANAR_CONFIGURATION: u16 = 284;
    pub(crate) const T4_OPTIONS: u16 = 292;
    pub(crate) const PREDICTOR: u16 = 317;
    pub(crate) const COLOR_MAP: u16 = 320;
    pub(crate) const TILE_WIDTH: u16 = 322;
    pub(crate) const TILE_LENGTH: u16 = 323;
    pub(crate) const TILE_OFFSETS: u16 = 324;
    pub(crate) const TILE_BYTE_COUNTS: u16 = 325;
    pub(crate) const SUB_DIRECTORIES: u16 = 330;
    pub(crate) const INK_SET: u16 = 332;
    pub(crate) const EXTRA_SAMPLES: u16 = 338;
    pub(crate) const SAMPLE_FORMAT: u16 = 339;
    pub(crate) const JPEG_TABLES: u16 = 347;
    pub(crate) const YCBCR_COEFFICIENTS: u16 = 529;
    pub(crate) const YCBCR_SUBSAMPLING: u16 = 530;
    pub(crate) const REFERENCE_BLACK_WHITE: u16 = 532;
}

/// A directory of a TIFF or BigTIFF file: what is said of one of its pages. Nothing is taken from
/// outside of the file, whatever its lengths and offsets say.
pub(super) struct Directory<'a> {
    pub(super) file: Content<'a>,
    /// Whether numbers begin with their least significant byte.
    pub(super) is_little_endian: bool,
    /// Where it is.
    start: u64,
    entries: Vec<Entry>,
    /// Where the next page's is; 0 behind the last.
    next: u64,
}

/// The most directories that are searched for the picture.
const MOST_DIRECTORIES: usize = 100;

/// Bytes of the longest header.
const HEADER: usize = 16;

struct Header {
    is_little_endian: bool,
    is_big: bool,
    /// Where the first directory is.
    start: u64,
}

struct Entry {
    tag: u16,
    kind: u16,
    /// Where its value is, and how many bytes that has.
    start: u64,
    length: u64,
}

impl Header {
    fn read(file: &[u8]) -> Result<Self, String> {
        let is_little_endian = file.starts_with(b"II");
        let number = |position: usize, size: usize| {
            let bytes = file.get(position..position + size);
            let bytes = bytes.ok_or_else(|| damaged("a part lies outside of it"))?;
            Ok::<_, String>(unsigned(bytes, is_little_endian))
        };
        let is_big = number(2, 2)? == 43;
        if is_big && number(4, 2)? != 8 {
            return Err(unsupported("BigTIFF whose offsets have other than 8 bytes"));
        }
        let start = if is_big { number(8, 8)? } else { number(4, 4)? };
        Ok(Self {
            is_little_endian,
            is_big,
            start,
        })
    }
}

/// Whether a file begins as TIFF or BigTIFF files do, in either byte order.
pub(super) fn is_tiff(file: &[u8]) -> bool {
    matches!(
        file.get(..4),
        Some(b"II*\0" | b"MM\0*" | b"II+\0" | b"MM\0+")
    )
}

impl<'a> Directory<'a> {
    /// The directory of the file's picture: of its first page, unless that says to be a smaller copy
    /// or a mask of another one. Then it is the first page that is neither, if there is one, those
    /// below a page (as raw files of cameras have them) before the next.
    pub(super) fn read(file: Content<'a>) -> Result<Self, String> {
        let header = Header::read(&file.part(0, HEADER as u64).bytes()?)?;
        let first = Self::at(file, &header, header.start)?;
        if !first.belongs_to_another() {
            return Ok(first);
        }
        let mut seen = BTreeSet::from([0, header.start]);
        let mut others = VecDeque::from(first.others());
        while let Some(start) = others.pop_front() {
            if !seen.insert(start) {
                continue;
            }
            if seen.len() > MOST_DIRECTORIES {
                return Err(unsupported(format!(
                    "more than {MOST_DIRECTORIES} thumbnails and masks before the picture"
                )));
            }
            let other = Self::at(file, &header, start)?;
            if !other.belongs_to_another() {
                return Ok(other);
            }
            others.extend(other.others());
        }
        Ok(first)
    }

    /// Whether it describes a smaller copy or a mask of a picture.
    fn belongs_to_another(&self) -> bool {
        const SMALLER_OR_MASK: u64 = 1 | 4;
        const OLD_SMALLER: u64 = 2;
        let is = |tag, test: fn(u64) -> bool| self.number_or(tag, 0).is_ok_and(test);
        is(tag::NEW_SUBFILE_TYPE, |kind| kind & SMALLER_OR_MASK != 0)
            || is(tag::SUBFILE_TYPE, |kind| kind == OLD_SMALLER)
    }

    /// Where the directories below it are, and the next one.
    fn others(&self) -> Vec<u64> {
        let below = self.numbers(tag::SUB_DIRECTORIES).ok().flatten();
        let mut others = below.unwrap_or_default();
        others.truncate(MOST_DIRECTORIES);
        others.push(self.next);
        others
    }

    fn at(file: Content<'a>, header: &Header, start: u64) -> Result<Self, String> {
        let &Header {
            is_little_endian,
            is_big,
            ..
        } = header;
        // Bytes of an offset, of the number of entries, and of an entry.
        let (word, count_size, entry_size) = if is_big { (8, 8, 20) } else { (4, 2, 12) };
        let count = slice(file, start, count_size)?.bytes()?;
        let mut position = start + count_size;
        let mut rest = file.part(position, u64::MAX).reader();
        let mut entries = Vec::new();
        for _ in 0..unsigned(&count, is_little_endian) {
            let mut entry = [0; 20];
            let entry = &mut entry[..entry_size];
            let read = rest.read_exact(entry);
            read.map_err(|_| damaged("a part lies outside of it"))?;
            let number = |at: usize, size: usize| unsigned(&entry[at..at + size], is_little_endian);
            let (tag, kind) = (number(0, 2) as u16, number(2, 2) as u16);
            let length = number(4, word).saturating_mul(size_of_kind(kind));
            let field = position + (4 + word) as u64;
            let start = if length <= word as u64 {
                field
            } else {
                number(4 + word, word)
            };
            // A damaged entry matters if its tag does.
            if slice(file, start, length).is_ok() {
                entries.push(Entry {
                    tag,
                    kind,
                    start,
                    length,
                });
            }
            position += entry_size as u64;
        }
        // Some writers leave the place of the next page out of the last one's directory.
        let mut next = vec![0; word];
        let has_next = rest.read_exact(&mut next).is_ok();
        Ok(Self {
            file,
            is_little_endian,
            start,
            entries,
            next: if has_next {
                unsigned(&next, is_little_endian)
            } else {
                0
            },
        })
    }

    /// Whether there is a tag.
    pub(super) fn has(&self, tag: u16) -> bool {
        self.entries.iter().any(|entry| entry.tag == tag)
    }

    /// Where the things in the file begin that the directory is or names.
    pub(super) fn starts(&self) -> impl Iterator<Item = u64> {
        let values = self.entries.iter().map(|entry| entry.start);
        values.chain([self.start])
    }

    /// A tag's value as bytes.
    pub(super) fn bytes(&self, tag: u16) -> Result<Option<Cow<'a, [u8]>>, String> {
        let entry = self.entries.iter().find(|entry| entry.tag == tag);
        let value = entry.map(|entry| self.file.part(entry.start, entry.length).bytes());
        value.transpose()
    }

    /// A tag's numbers, which are integers of any size and not negative.
    pub(super) fn numbers(&self, tag: u16) -> Result<Option<Vec<u64>>, String> {
        let Some(entry) = self.entries.iter().find(|entry| entry.tag == tag) else {
            return Ok(None);
        };
        let is_signed = matches!(entry.kind, 6 | 8 | 9 | 17);
        if !is_signed && !matches!(entry.kind, 1 | 3 | 4 | 13 | 16 | 18) {
            let kind = entry.kind;
            return Err(damaged(format!(
                "tag {tag} has no whole numbers (field type {kind})"
            )));
        }
        let size = size_of_kind(entry.kind) as usize;
        let value = self.file.part(entry.start, entry.length).bytes()?;
        let numbers = value.chunks_exact(size).map(|bytes| {
            let number = unsigned(bytes, self.is_little_endian);
            if is_signed && number >> (8 * size - 1) == 1 {
                return Err(damaged(format!("tag {tag} has a number below 0")));
            }
            Ok(number)
        });
        numbers.collect::<Result<_, _>>().map(Some)
    }

    /// A tag's fractions or whole numbers, of which there have to be so many.
    pub(super) fn fractions<const N: usize>(&self, tag: u16) -> Result<Option<[f32; N]>, String> {
        let Some(entry) = self.entries.iter().find(|entry| entry.tag == tag) else {
            return Ok(None);
        };
        let values: Vec<f32> = if entry.kind == RATIONAL {
            let bytes = self.file.part(entry.start, entry.length).bytes()?;
            let numbers = bytes.chunks_exact(4);
            let numbers: Vec<_> = numbers
                .map(|bytes| unsigned(bytes, self.is_little_endian) as f64)
                .collect();
            let pairs = numbers.as_chunks().0.iter();
            pairs.map(|[over, under]| (over / under) as f32).collect()
        } else {
            let numbers = self.numbers(tag)?.unwrap_or_default();
            numbers.into_iter().map(|number| number as f32).collect()
        };
        let first = values.first_chunk().copied();
        match first.filter(|values: &[f32; N]| values.iter().all(|value| value.is_finite())) {
            Some(values) => Ok(Some(values)),
            None => Err(damaged(format!(
                "tag {tag} has the values {values:?}, where {N} numbers should be"
            ))),
        }
    }

    /// A tag's first number, or what it is where the tag is absent.
    pub(super) fn number_or(&self, tag: u16, default: u64) -> Result<u64, String> {
        let numbers = self.numbers(tag)?;
        Ok(numbers
            .and_then(|numbers| numbers.first().copied())
            .unwrap_or(default))
    }
}

/// The field type of fractions of two whole numbers.
const RATIONAL: u16 = 5;

/// Bytes of one value of a field type; of an unknown type, one.
fn size_of_kind(kind: u16) -> u64 {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => 1,
    }
}

/// A part of a file that has to be there.
fn slice(file: Content<'_>, start: u64, length: u64) -> Result<Content<'_>, String> {
    let part = file.part(start, length);
    if part.len() == length && start <= file.len() {
        return Ok(part);
    }
    Err(damaged("a part lies outside of it"))
}

/// The unsigned integer in up to 8 bytes.
pub(super) fn unsigned(bytes: &[u8], is_little_endian: bool) -> u64 {
    let add = |sum, byte: &u8| sum << 8 | u64::from(*byte);
    if is_little_endian {
        bytes.iter().rev().fold(0, add)
    } else {
        bytes.iter().fold(0, add)
    }
}
