use super::directory::unsigned;
use super::layout::{Color, Layout, Predictor, SampleType};
use super::reason::unsupported;

/// Undoes what a predictor did to a row.
pub(super) fn undo_predictor(row: &mut [u8], layout: &Layout) {
    let samples = layout.samples_in_chunk();
    let size = layout.sample_type.bits() / 8;
    match layout.predictor {
        Predictor::None => {}
        Predictor::Horizontal => add_up(row, size, samples * size, layout.is_little_endian),
        Predictor::FloatingPoint => {
            add_up(row, 1, samples, true);
            // First the most significant bytes of all samples, then the next ones, and so on.
            let planes = row.to_vec();
            let count = planes.len() / size;
            for (index, sample) in row.chunks_exact_mut(size).enumerate() {
                for (byte, value) in sample.iter_mut().enumerate() {
                    *value = planes[byte * count + index];
                }
            }
        }
    }
}

/// Adds to each number of `size` bytes the one that lies `stride` bytes before it.
fn add_up(row: &mut [u8], size: usize, stride: usize, is_little_endian: bool) {
    for start in (stride..row.len()).step_by(size) {
        let mut carry = 0;
        for byte in 0..size {
            let at = start
                + if is_little_endian {
                    byte
                } else {
                    size - 1 - byte
                };
            let sum = u16::from(row[at]) + u16::from(row[at - stride]) + carry;
            row[at] = sum as u8;
            carry = sum >> 8;
        }
    }
}

/// Makes bytes of the first `channels` samples of each pixel in a row, and puts them at every
/// `step`-th place of `out`. Whole numbers keep their upper eight bits, or are scaled up to
/// them; 0 to 1 becomes 0 to 255; the indices of a palette stay what they are.
pub(super) fn to_bytes(
    row: &[u8],
    layout: &Layout,
    channels: usize,
    out: &mut [u8],
    step: usize,
) -> Result<(), String> {
    let samples = layout.samples_in_chunk();
    let is_little_endian = layout.is_little_endian && layout.predictor != Predictor::FloatingPoint;
    let bits = layout.sample_type.bits();
    if let (SampleType::Unsigned(_), false) = (layout.sample_type, bits.is_multiple_of(8)) {
        let is_index = matches!(layout.color, Color::Palette(_));
        let places = out.chunks_mut(step);
        for (pixel, place) in places.enumerate() {
            for (channel, byte) in place.iter_mut().take(channels).enumerate() {
                let value = bit_field(row, (pixel * samples + channel) * bits, bits);
                *byte = if is_index {
                    value as u8
                } else {
                    scaled(value.into(), bits)
                };
            }
        }
        return Ok(());
    }
    let size = bits / 8;
    let convert = converter(layout.sample_type);
    for (pixel, place) in row.chunks_exact(samples * size).zip(out.chunks_mut(step)) {
        for (sample, byte) in pixel.chunks_exact(size).zip(place).take(channels) {
            *byte = convert(sample, is_little_endian)?;
        }
    }
    Ok(())
}

/// Up to 16 bits, of which the first is the most significant, in either byte order.
fn bit_field(row: &[u8], start: usize, bits: usize) -> u32 {
    let byte = |index: usize| u32::from(row.get(start / 8 + index).copied().unwrap_or(0));
    let three = byte(0) << 16 | byte(1) << 8 | byte(2);
    three >> (24 - start % 8 - bits) & ((1 << bits) - 1)
}

/// A number of `bits` bits as one of 8.
fn scaled(value: u64, bits: usize) -> u8 {
    if bits >= 8 {
        (value >> (bits - 8)) as u8
    } else {
        (value * 255 / ((1 << bits) - 1)) as u8
    }
}

type Convert = fn(&[u8], bool) -> Result<u8, String>;

fn converter(sample_type: SampleType) -> Convert {
    match sample_type {
        SampleType::Unsigned(_) => |bytes, is_little_endian| Ok(top_byte(bytes, is_little_endian)),
        SampleType::Signed(_) => |bytes, is_little_endian| {
            let value = unsigned(bytes, is_little_endian);
            let bits = 8 * bytes.len();
            if value >> (bits - 1) == 1 {
                return Err(unsupported("signed integers below 0"));
            }
            Ok(scaled(value, bits - 1))
        },
        SampleType::Float(16) => |bytes, is_little_endian| {
            let bits = unsigned(bytes, is_little_endian) as u16;
            unit_to_byte(half::f16::from_bits(bits).to_f64())
        },
        SampleType::Float(32) => |bytes, is_little_endian| {
            let bits = unsigned(bytes, is_little_endian) as u32;
            unit_to_byte(f32::from_bits(bits).into())
        },
        SampleType::Float(_) => |bytes, is_little_endian| {
            unit_to_byte(f64::from_bits(unsigned(bytes, is_little_endian)))
        },
    }
}

fn top_byte(bytes: &[u8], is_little_endian: bool) -> u8 {
    let byte = if is_little_endian {
        bytes.last()
    } else {
        bytes.first()
    };
    byte.copied().unwrap_or_default()
}

/// Numbers from 0 to 1 are intensities; of others nobody but their writer knows what is white.
fn unit_to_byte(value: f64) -> Result<u8, String> {
    let byte = (value * 255.0).round();
    if (0.0..=255.0).contains(&byte) {
        Ok(byte as u8)
    } else {
        Err(unsupported(format!(
            "floating point numbers outside of 0 to 1, such as {value}; scale them to that range"
        )))
    }
}
