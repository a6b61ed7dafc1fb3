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

fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<DecodedImage, String> {
    let bytes = with_info_header(bytes)?;
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
    let pixels_at = (number(bytes, PIXELS_AT, 4)? + INFO_HEADER).saturating_sub(length);
    file[PIXELS_AT..].copy_from_slice(&(pixels_at as u32).to_le_bytes());
    file.extend(info);
    file.extend(rest);
    Ok(Cow::Owned(file))
}

/// Fails for what the image crate does not read, or fills with black.
fn check_kind(bytes: &[u8]) -> Result<(), String> {
    if number(bytes, FILE_HEADER, 4)? < INFO_HEADER {
        return Ok(());
    }
    let field = |at, size| number(bytes, FILE_HEADER + at, size);
    let (width, height) = (field(4, 4)?, field(8, 4)? as i32);
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
