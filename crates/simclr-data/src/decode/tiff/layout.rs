use std::fmt;

use super::directory::{Directory, tag};
use super::reason::{damaged, unsupported};
use super::ycbcr_conversion::Conversion;
use crate::decode::options::DecodeOptions;

/// How the pixels of a page are stored.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Samples of a pixel, those that are no colours included.
    pub(super) samples: usize,
    pub(super) sample_type: SampleType,
    pub(super) is_little_endian: bool,
    pub(super) color: Color,
    /// How YCbCr becomes RGB.
    pub(super) conversion: Option<Box<Conversion>>,
    /// Whether colours have been multiplied by the alpha behind them.
    pub(super) is_premultiplied: bool,
    /// Whether each channel has strips or tiles of its own.
    pub(super) is_planar: bool,
    pub(super) chunks: Chunks,
    pub(super) compression: u64,
    pub(super) predictor: Predictor,
}

/// The numbers that samples are. All samples of a page have one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SampleType {
    /// Unsigned integers of 1 to 16, 24, 32 or 64 bits.
    Unsigned(usize),
    /// Signed integers of 8, 16, 32 or 64 bits.
    Signed(usize),
    /// Floating point numbers of 16, 32 or 64 bits.
    Float(usize),
}

/// What the samples mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Color {
    Gray {
        is_white_zero: bool,
    },
    Rgb,
    Palette(Vec<[u8; 3]>),
    Cmyk,
    /// With the horizontal and vertical subsampling of the colours.
    YCbCr(usize, usize),
}

/// What is undone to the samples of a row after decompression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Predictor {
    None,
    Horizontal,
    FloatingPoint,
}

/// Strips or tiles.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunks {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Whether the last row of chunks is as high as the others, beyond the picture.
    pub(super) are_tiles: bool,
}

impl SampleType {
    pub(super) fn bits(self) -> usize {
        match self {
            Self::Unsigned(bits) | Self::Signed(bits) | Self::Float(bits) => bits,
        }
    }
}

impl fmt::Display for SampleType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Unsigned(_) => "unsigned integers",
            Self::Signed(_) => "signed integers",
            Self::Float(_) => "floating point numbers",
        };
        write!(f, "{name} of {} bits", self.bits())
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gray { .. } => "grey",
            Self::Rgb => "RGB",
            Self::Palette(_) => "a palette's colours",
            Self::Cmyk => "CMYK",
            Self::YCbCr(..) => "YCbCr",
        })
    }
}

impl Color {
    pub(super) fn channels(&self) -> usize {
        match self {
            Self::Gray { .. } | Self::Palette(_) => 1,
            Self::Rgb | Self::YCbCr(..) => 3,
            Self::Cmyk => 4,
        }
    }
}

pub(super) mod compression {
    pub(crate) const NONE: u64 = 1;
    pub(crate) const CCITT_RLE: u64 = 2;
    pub(crate) const CCITT_T4: u64 = 3;
    pub(crate) const CCITT_T6: u64 = 4;
    pub(crate) const LZW: u64 = 5;
    pub(crate) const JPEG: u64 = 7;
    pub(crate) const DEFLATE: u64 = 8;
    pub(crate) const PACK_BITS: u64 = 32773;
    pub(crate) const OLD_DEFLATE: u64 = 32946;
    pub(crate) const ZSTANDARD: u64 = 50000;
}

impl Layout {
    pub(super) fn of(directory: &Directory<'_>, options: &DecodeOptions) -> Result<Self, String> {
        let side = |tag| match directory.number_or(tag, 0)? {
            0 => Err(damaged("its width or height is missing")),
            side => usize::try_from(side).map_err(damaged),
        };
        let (width, height) = (side(tag::WIDTH)?, side(tag::HEIGHT)?);
        options.admit(width, height)?;
        let samples = directory.number_or(tag::SAMPLES_PER_PIXEL, 1)?;
        // The field has 16 bits.
        let samples = usize::from(u16::try_from(samples).map_err(damaged)?);
        let sample_type = sample_type(directory)?;
        let compression = directory.number_or(tag::COMPRESSION, compression::NONE)?;
        let color = color(directory, samples, sample_type, compression)?;
        let layout = Self {
            width,
            height,
            samples,
            sample_type,
            is_little_endian: directory.is_little_endian,
            conversion: match color {
                // A JPEG decoder makes RGB itself.
                Color::YCbCr(..) if compression != compression::JPEG => {
                    Some(Conversion::of(directory)?)
                }
                _ => None,
            },
            is_premultiplied: is_premultiplied(directory, samples, &color)?,
            color,
            is_planar: directory.number_or(tag::PLANAR_CONFIGURATION, 1)? == 2 && samples > 1,
            chunks: chunks(directory, width, height, options)?,
            compression,
            predictor: predictor(directory, compression, sample_type)?,
        };
        if samples > 2 && matches!(layout.color, Color::Gray { .. }) {
            return Err(unsupported(format!(
                "grey in {samples} samples, which may be colours (tag 262 of RGB is 2)"
            )));
        }
        if layout.samples < layout.color.channels() {
            return Err(damaged(format!("{} in {samples} samples", layout.color)));
        }
        if layout.predictor != Predictor::None && layout.is_subsampled() {
            return Err(unsupported("a predictor (tag 317) of subsampled YCbCr"));
        }
        Ok(layout)
    }

    /// The colours that decompressed samples are: of YCbCr, a JPEG decoder makes RGB itself.
    pub(super) fn decompressed_color(&self) -> &Color {
        match self.color {
            Color::YCbCr(..) if self.compression == compression::JPEG => &Color::Rgb,
            _ => &self.color,
        }
    }

    /// Bytes of a pixel that becomes RGB.
    pub(super) fn channels(&self) -> usize {
        self.color.channels() + usize::from(self.is_premultiplied)
    }

    /// Whether chunks hold blocks of pixels with a colour in common.
    pub(super) fn is_subsampled(&self) -> bool {
        let color = self.decompressed_color();
        matches!(color, Color::YCbCr(horizontal, vertical) if (*horizontal, *vertical) != (1, 1))
    }

    /// Bytes of so many rows of a chunk as they are before compression.
    pub(super) fn stored_len(&self, rows: usize) -> usize {
        let width = self.chunks.width;
        match *self.decompressed_color() {
            Color::YCbCr(horizontal, vertical) if self.is_subsampled() => {
                let blocks = width
                    .div_ceil(horizontal)
                    .saturating_mul(rows.div_ceil(vertical));
                blocks.saturating_mul(horizontal * vertical + 2)
            }
            _ => self.row_len().saturating_mul(rows),
        }
    }

    /// Bytes of a row of a chunk.
    pub(super) fn row_len(&self) -> usize {
        let samples = self.chunks.width.saturating_mul(self.samples_in_chunk());
        samples.saturating_mul(self.sample_type.bits()).div_ceil(8)
    }

    /// Whether the compression adds a checksum of what it compresses.
    pub(super) fn has_checksum(&self) -> bool {
        matches!(
            self.compression,
            compression::DEFLATE | compression::OLD_DEFLATE
        )
    }

    /// Samples of a pixel that lie side by side in a chunk.
    pub(super) fn samples_in_chunk(&self) -> usize {
        if self.is_planar { 1 } else { self.samples }
    }
}

fn sample_type(directory: &Directory<'_>) -> Result<SampleType, String> {
    let bits = uniform(directory, tag::BITS_PER_SAMPLE, "bits")?;
    match (
        uniform(directory, tag::SAMPLE_FORMAT, "sample formats")?,
        bits,
    ) {
        // Format 4 is undefined; readers take it for unsigned.
        (1 | 4, 1..=16 | 24 | 32 | 64) => Ok(SampleType::Unsigned(bits as usize)),
        (2, 8 | 16 | 32 | 64) => Ok(SampleType::Signed(bits as usize)),
        (3, 16 | 32 | 64) => Ok(SampleType::Float(bits as usize)),
        (format, bits) => {
            let name = match format {
                1 | 4 => "unsigned integers",
                2 => "signed integers",
                3 => "floating point numbers",
                5 | 6 => "complex numbers",
                _ => {
                    let unknown =
                        format!("sample format {format} (tag 339), where 1 to 6 are known");
                    return Err(damaged(unknown));
                }
            };
            Err(unsupported(format!("{name} of {bits} bits")))
        }
    }
}

/// A tag with a number for each sample, which have to be the same.
fn uniform(directory: &Directory<'_>, tag: u16, what: &str) -> Result<u64, String> {
    let numbers = directory.numbers(tag)?.unwrap_or_default();
    match numbers.split_first() {
        None => Ok(1),
        Some((first, rest)) if rest.iter().all(|number| number == first) => Ok(*first),
        Some(_) => Err(unsupported(format!(
            "samples of different {what}: {numbers:?}"
        ))),
    }
}

/// Whether the first further sample is alpha by which the colours have been multiplied.
fn is_premultiplied(
    directory: &Directory<'_>,
    samples: usize,
    color: &Color,
) -> Result<bool, String> {
    const ASSOCIATED_ALPHA: u64 = 1;
    let extra = directory.numbers(tag::EXTRA_SAMPLES)?.unwrap_or_default();
    let further = samples.saturating_sub(color.channels());
    let place = extra.iter().position(|kind| *kind == ASSOCIATED_ALPHA);
    match (place.filter(|place| *place < further), color) {
        (None, _) => Ok(false),
        (
            Some(0),
            Color::Rgb
            | Color::Gray {
                is_white_zero: false,
            },
        ) => Ok(true),
        (Some(place), _) => Err(unsupported(format!(
            "{color} that has been multiplied by further sample {}",
            place + 1
        ))),
    }
}

fn color(
    directory: &Directory<'_>,
    samples: usize,
    sample_type: SampleType,
    compression: u64,
) -> Result<Color, String> {
    let is_ccitt = matches!(
        compression,
        compression::CCITT_RLE | compression::CCITT_T4 | compression::CCITT_T6
    );
    let default = match (samples, is_ccitt) {
        (1 | 2, true) => 0,
        (1 | 2, false) => 1,
        _ => 2,
    };
    match directory.number_or(tag::PHOTOMETRIC, default)? {
        interpretation @ (0 | 1) => Ok(Color::Gray {
            is_white_zero: interpretation == 0,
        }),
        2 => Ok(Color::Rgb),
        3 => palette(directory, sample_type).map(Color::Palette),
        5 if directory.number_or(tag::INK_SET, 1)? == 1 => Ok(Color::Cmyk),
        5 => Err(unsupported("inks other than CMYK")),
        6 => {
            let subsampling = directory.numbers(tag::YCBCR_SUBSAMPLING)?;
            match subsampling.as_deref().unwrap_or(&[2, 2]) {
                &[horizontal @ (1 | 2 | 4), vertical @ (1 | 2 | 4)] => {
                    Ok(Color::YCbCr(horizontal as usize, vertical as usize))
                }
                other => Err(damaged(format!("its colours are subsampled by {other:?}"))),
            }
        }
        4 => Err(unsupported("a transparency mask")),
        8..=10 => Err(unsupported("CIE L*a*b*")),
        32803 => Err(unsupported("a camera's colour filter array")),
        32844 | 32845 => Err(unsupported("logarithmic luminance")),
        other => Err(unsupported(format!("photometric interpretation {other}"))),
    }
}

/// The colours of a palette: all reds, then all greens, then all blues, of 16 bits.
fn palette(directory: &Directory<'_>, sample_type: SampleType) -> Result<Vec<[u8; 3]>, String> {
    let SampleType::Unsigned(bits @ 1..=8) = sample_type else {
        return Err(unsupported(format!("a palette with {sample_type}")));
    };
    let values = directory.numbers(tag::COLOR_MAP)?.unwrap_or_default();
    let count = 1 << bits;
    if values.len() < 3 * count {
        return Err(damaged(format!(
            "its colour map has {} values of {}",
            values.len(),
            3 * count
        )));
    }
    // Some writers give values of 8 bits, which libtiff finds out in this way.
    let shift = if values.iter().all(|&value| value < 256) {
        0
    } else {
        8
    };
    let color =
        |index| [0, count, 2 * count].map(|channel| (values[channel + index] >> shift) as u8);
    Ok((0..count).map(color).collect())
}

fn chunks(
    directory: &Directory<'_>,
    width: usize,
    height: usize,
    options: &DecodeOptions,
) -> Result<Chunks, String> {
    let tile_width = directory.number_or(tag::TILE_WIDTH, 0)?;
    let tile_height = directory.number_or(tag::TILE_LENGTH, 0)?;
    if tile_width == 0 && tile_height == 0 {
        let rows = directory.number_or(tag::ROWS_PER_STRIP, height as u64)?;
        return match rows.min(height as u64) {
            0 => Err(damaged("its strips have no rows")),
            rows => Ok(Chunks {
                width,
                height: rows as usize,
                are_tiles: false,
            }),
        };
    }
    let (width, height) = (usize::try_from(tile_width), usize::try_from(tile_height));
    let (width, height) = (width.map_err(damaged)?, height.map_err(damaged)?);
    if width == 0 || height == 0 {
        return Err(damaged("its tiles have no size"));
    }
    // Rows of a tile are as long as the picture's, or a little longer.
    if width as u128 * height as u128 > u128::from(options.max_pixels) {
        return Err(unsupported(format!("tiles of {width} x {height} pixels")));
    }
    Ok(Chunks {
        width,
        height,
        are_tiles: true,
    })
}

fn predictor(
    directory: &Directory<'_>,
    compression: u64,
    sample_type: SampleType,
) -> Result<Predictor, String> {
    let has_predictor = matches!(
        compression,
        compression::LZW | compression::DEFLATE | compression::OLD_DEFLATE | compression::ZSTANDARD
    );
    // As libtiff, which does not look at the tag where a compression has no predictor.
    let number = if has_predictor {
        directory.number_or(tag::PREDICTOR, 1)?
    } else {
        1
    };
    match (number, sample_type) {
        (1, _) => Ok(Predictor::None),
        (2, SampleType::Unsigned(bits) | SampleType::Signed(bits)) if bits.is_multiple_of(8) => {
            Ok(Predictor::Horizontal)
        }
        (2, SampleType::Float(_)) => Ok(Predictor::Horizontal),
        (3, SampleType::Float(_)) => Ok(Predictor::FloatingPoint),
        (number, sample_type) => Err(unsupported(format!("predictor {number} of {sample_type}"))),
    }
}
