use std::borrow::Cow;

use image::ImageFormat;
use simclr_augment::DecodedImage;

use super::format::Format;
use super::image_crate;
use super::options::DecodeOptions;

pub(super) const FORMAT: Format = Format {
    name: "BMP",
    extensions: &["bmp", "dib"],
    recognizes: |bytes| bytes.starts_with(b"BM"),
    decode,
    orientation: |_| None,
    read_rows: None,
};

/// Bytes before the header that tells a bitmap's size.
const FILE_HEADER: usize = 14;
/// Where the file header says where the pixels begin.
const PIXELS_AT: usize = 10;
/// The length of Windows' header, whose fields OS/2's second version has at the same places.
const INFO_HEADER: usize = 40;

const RLE8: usize = 1;
const RLE4: usize = 2;
const BIT_FIELDS: usize = 3;
const ALPHA_BIT_FIELDS: usize = 6;

fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<DecodedImage, String> {
    let mut bytes = with_info_header(bytes)?;
    complete_header(&mut bytes)?;
    check_kind(&bytes)?;
    image_crate::decode(&bytes, ImageFormat::Bmp, options)
}

/// The file with a header of Windows where it has one of OS/2's second version, of which all
/// fields but the first sixteen bytes may be left out.
fn with_info_header(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let length = number(bytes, FILE_HEADER, 4)?;
    if !matches!(length, 16..INFO_HEADER | 64) {
        return Ok(Cow::Borrowed(bytes));
    }
    if matches!(number(bytes, FILE_HEADER + 16, 4), Ok(3 | 4)) && length > 16 {
        return Err("this kind of BMP is not read: OS/2's Huffman code or RLE of 24 bits".into());
    }
    let (header, rest) = bytes
        .get(FILE_HEADER..)
        .and_then(|rest| rest.split_at_checked(length))
        .ok_or("the BMP file is damaged: its header is cut off")?;
    let mut info = header.to_vec();
    info.resize(INFO_HEADER, 0);
    info[..4].copy_from_slice(&(INFO_HEADER as u32).to_le_bytes());
    let mut file = bytes[..FILE_HEADER].to_vec();
    let pixels_at = match number(bytes, PIXELS_AT, 4)? {
        // Not told.
        0 => 0,
        pixels_at => (pixels_at + INFO_HEADER).saturating_sub(length),
    };
    file[PIXELS_AT..].copy_from_slice(&(pixels_at as u32).to_le_bytes());
    file.extend(info);
    file.extend(rest);
    Ok(Cow::Owned(file))
}

/// Sets what some writers leave out or say in their own way: where the pixels are, which is behind
/// the palette, that there is one plane, and that bit masks have a fourth one for alpha.
fn complete_header(bytes: &mut Cow<'_, [u8]>) -> Result<(), String> {
    let length = number(bytes, FILE_HEADER, 4)?;
    let is_short = length < INFO_HEADER;
    let field = |at, size| number(bytes, FILE_HEADER + at, size);
    let (planes, bits, compression, colors) = if is_short {
        (field(8, 2)?, field(10, 2)?, 0, 0)
    } else {
        (field(12, 2)?, field(14, 2)?, field(16, 4)?, field(32, 4)?)
    };
    let masks = match compression {
        BIT_FIELDS if length == INFO_HEADER => 12,
        ALPHA_BIT_FIELDS if length == INFO_HEADER => 16,
        _ => 0,
    };
    let colors = match (bits, colors) {
        (1..=8, 0) => 1 << bits,
        (1..=8, colors) => colors.min(256),
        _ => 0,
    };
    let palette = colors * if is_short { 3 } else { 4 };
    let mut set = |at: usize, value: usize, size: usize| {
        bytes.to_mut()[at..at + size].copy_from_slice(&(value as u32).to_le_bytes()[..size]);
    };
    if planes == 0 {
        set(FILE_HEADER + if is_short { 8 } else { 12 }, 1, 2);
    }
    if compression == ALPHA_BIT_FIELDS {
        set(FILE_HEADER + 16, BIT_FIELDS, 4);
    }
    if number(bytes, PIXELS_AT, 4)? == 0 {
        let start = length.saturating_add(FILE_HEADER + masks + palette);
        bytes.to_mut()[PIXELS_AT..FILE_HEADER].copy_from_slice(&(start as u32).to_le_bytes());
    }
    Ok(())
}

/// Fails for what the image crate does not read, or fills with black.
fn check_kind(bytes: &[u8]) -> Result<(), String> {
    let is_short = number(bytes, FILE_HEADER, 4)? < INFO_HEADER;
    let field = |at, size| number(bytes, FILE_HEADER + at, size);
    let (width, height) = if is_short {
        (field(4, 2)?, field(6, 2)? as i32)
    } else {
        (field(4, 4)?, field(8, 4)? as i32)
    };
    let signed_width = width as i32;
    if signed_width <= 0 || height == 0 {
        return Err(format!(
            "the BMP file is damaged: its header says {signed_width} x {height} pixels"
        ));
    }
    if is_short {
        return Ok(());
    }
    let (bits, compression) = (field(14, 2)?, field(16, 4)?);
    if width > 65_535 || height.unsigned_abs() > 65_535 {
        return Err("this kind of BMP is not read: a side of more than 65535 pixels".into());
    }
    if compression > 3 || !matches!(bits, 1 | 2 | 4 | 8 | 16 | 24 | 32) {
        return Err(format!(
            "this kind of BMP is not read: compression {compression}, {bits} bits per pixel"
        ));
    }
    if matches!(compression, RLE8 | RLE4) {
        let height = height.unsigned_abs() as usize;
        let data = bytes
            .get(number(bytes, PIXELS_AT, 4)?..)
            .unwrap_or_default();
        let (written, pixels) = (rle_pixels(data, width, height, compression), width * height);
        if written < pixels {
            return Err(format!(
                "the BMP file is damaged: it holds {written} of {pixels} pixels, and nothing says \
                 what the others are"
            ));
        }
    }
    Ok(())
}

/// How many pixels the runs of an RLE bitmap write.
fn rle_pixels(data: &[u8], width: usize, height: usize, compression: usize) -> usize {
    let (mut data, mut x, mut y, mut written) = (data.iter().copied().map(usize::from), 0, 0, 0);
    while y < height {
        let (Some(count), Some(value)) = (data.next(), data.next()) else {
            break;
        };
        let pixels = match (count, value) {
            (0, 0) => {
                (x, y) = (0, y + 1);
                0
            }
            (0, 1) => break,
            (0, 2) => {
                x += data.next().unwrap_or(0);
                y += data.next().unwrap_or(0);
                0
            }
            (0, literal) => {
                let bytes = if compression == RLE4 {
                    literal.div_ceil(2)
                } else {
                    literal
                };
                data.nth(bytes.next_multiple_of(2) - 1);
                literal
            }
            (run, _) => run,
        };
        written += pixels.min(width.saturating_sub(x));
        x += pixels;
    }
    written
}

fn number(bytes: &[u8], at: usize, size: usize) -> Result<usize, String> {
    let field = bytes
        .get(at..at + size)
        .ok_or("the BMP file is damaged: its header is cut off")?;
    Ok(field
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
}
