use super::reason::{damaged, unsupported};

/// The tags that say where and how the pixels are stored.
pub(super) mod tag {
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
    pub(crate) const INK_SET: u16 = 332;
    pub(crate) const SAMPLE_FORMAT: u16 = 339;
    pub(crate) const JPEG_TABLES: u16 = 347;
    pub(crate) const YCBCR_SUBSAMPLING: u16 = 530;
}

/// The first directory of a TIFF or BigTIFF file: what is said of its first page. Nothing is
/// taken from outside of the file, whatever its lengths and offsets say.
pub(super) struct Directory<'a> {
    file: &'a [u8],
    /// Whether numbers begin with their least significant byte.
    pub(super) is_little_endian: bool,
    entries: Vec<Entry<'a>>,
}

struct Header {
    is_little_endian: bool,
    is_big: bool,
    /// Where the first directory is.
    start: u64,
}

struct Entry<'a> {
    tag: u16,
    kind: u16,
    value: &'a [u8],
}

impl Header {
    fn read(file: &[u8]) -> Result<Self, String> {
        let is_little_endian = file.starts_with(b"II");
        let number = |position, size| number(file, position, size, is_little_endian);
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

/// Where the directory of a TIFF file is that begins so.
pub(in crate::decode) fn directory_start(head: &[u8]) -> Option<u64> {
    is_tiff(head)
        .then(|| Header::read(head).ok())?
        .map(|header| header.start)
}

/// Leaves a header behind which the first directory follows at once.
pub(in crate::decode) fn move_directory(head: &mut Vec<u8>) {
    const HEADER: usize = 16;
    let is_little_endian = head.starts_with(b"II");
    let is_big = head[2..4].contains(&b'+');
    head.resize(HEADER, 0);
    let start = if is_big {
        &mut head[8..16]
    } else {
        &mut head[4..8]
    };
    start.fill(0);
    let place = if is_little_endian { 0 } else { start.len() - 1 };
    start[place] = HEADER as u8;
}

impl<'a> Directory<'a> {
    pub(super) fn read(file: &'a [u8]) -> Result<Self, String> {
        let Header {
            is_little_endian,
            is_big,
            start,
        } = Header::read(file)?;
        let number = |position, size| number(file, position, size, is_little_endian);
        // Bytes of an offset, of the number of entries, and of an entry.
        let (word, count_size, entry_size) = if is_big { (8, 8, 20) } else { (4, 2, 12) };
        let count = number(start, count_size)?;
        let mut entries = Vec::new();
        for index in 0..count {
            let position = offset(start, count_size + index.saturating_mul(entry_size))?;
            let (tag, kind) = (number(position, 2)? as u16, number(position + 2, 2)? as u16);
            let length = number(position + 4, word)?.saturating_mul(size_of_kind(kind));
            let field = position + 4 + word;
            let at = if length <= word {
                field
            } else {
                number(field, word)?
            };
            // A damaged entry matters if its tag does.
            if let Ok(value) = slice(file, at, length) {
                entries.push(Entry { tag, kind, value });
            }
        }
        Ok(Self {
            file,
            is_little_endian,
            entries,
        })
    }

    /// A tag's value as bytes.
    pub(super) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        let entry = self.entries.iter().find(|entry| entry.tag == tag);
        entry.map(|entry| entry.value)
    }

    /// A tag's numbers, which are unsigned integers of any size.
    pub(super) fn numbers(&self, tag: u16) -> Result<Option<Vec<u64>>, String> {
        let Some(entry) = self.entries.iter().find(|entry| entry.tag == tag) else {
            return Ok(None);
        };
        if !matches!(entry.kind, 1 | 3 | 4 | 13 | 16 | 18) {
            return Err(damaged(format!("tag {tag} has no whole numbers")));
        }
        let size = size_of_kind(entry.kind) as usize;
        let values = entry.value.chunks_exact(size);
        Ok(Some(
            values
                .map(|bytes| unsigned(bytes, self.is_little_endian))
                .collect(),
        ))
    }

    /// A tag's first number, or what it is where the tag is absent.
    pub(super) fn number_or(&self, tag: u16, default: u64) -> Result<u64, String> {
        let numbers = self.numbers(tag)?;
        Ok(numbers
            .and_then(|numbers| numbers.first().copied())
            .unwrap_or(default))
    }

    /// Bytes of the file, up to its end at most.
    pub(super) fn file_bytes(&self, start: u64, length: u64) -> &'a [u8] {
        let end = self.file.len() as u64;
        let (from, to) = (start.min(end), start.saturating_add(length).min(end));
        &self.file[from as usize..to as usize]
    }
}

/// Bytes of one value of a field type; of an unknown type, one.
fn size_of_kind(kind: u16) -> u64 {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => 1,
    }
}

fn offset(start: u64, by: u64) -> Result<u64, String> {
    let sum = start.checked_add(by).filter(|sum| *sum < u64::MAX / 2);
    sum.ok_or_else(|| damaged("an offset lies outside of it"))
}

fn slice(file: &[u8], start: u64, length: u64) -> Result<&[u8], String> {
    let end = offset(start, length)?;
    let (start, end) = (usize::try_from(start), usize::try_from(end));
    let range = start.ok().zip(end.ok());
    let bytes = range.and_then(|(start, end)| file.get(start..end));
    bytes.ok_or_else(|| damaged("a part lies outside of it"))
}

fn number(file: &[u8], position: u64, size: u64, is_little_endian: bool) -> Result<u64, String> {
    Ok(unsigned(slice(file, position, size)?, is_little_endian))
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
