//! The frame around an event, as of TensorFlow's `TFRecord` files: its length (u64), a masked
//! CRC-32C of the length, its bytes and a masked CRC-32C of these, all little-endian.

use std::fs;
use std::path::Path;

use prost::Message;

use crate::error::{Error, Result};
use crate::proto::Event;

const LENGTH: usize = 8;
const CHECKSUM: usize = 4;

/// The bytes of an event in its frame.
pub(crate) fn frame(event: &Event) -> Vec<u8> {
    let data = event.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    [
        length.as_slice(),
        &masked_checksum(&length),
        &data,
        &masked_checksum(&data),
    ]
    .concat()
}

/// The events of a file, in their order. A run that was killed may have left a part of a record
/// at the end, which is left out, as TensorBoard does.
///
/// # Errors
/// [`Error::Io`]; [`Error::Damaged`] if a checksum differs or a record holds something else.
pub fn read_events(path: impl AsRef<Path>) -> Result<Vec<Event>> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let mut rest = bytes.as_slice();
    let mut events = Vec::new();
    while let Some((length, after_length)) = checked(rest, LENGTH) {
        let damaged = |reason: String| Error::Damaged {
            path: path.to_owned(),
            offset: bytes.len() - rest.len(),
            reason,
        };
        let length = length.map_err(damaged)?;
        let length = length
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        // A length that the file does not have belongs to a record that was cut off.
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some((data, after_data)) = checked(after_length, length) else {
            break;
        };
        let event = Event::decode(data.map_err(damaged)?);
        events.push(event.map_err(|error| damaged(error.to_string()))?);
        rest = after_data;
    }
    Ok(events)
}

/// The first `length` bytes, if they are those of the checksum behind them, and what follows;
/// `None` if there are fewer.
#[expect(
    clippy::type_complexity,
    reason = "two parts, of which one may be damaged"
)]
fn checked(bytes: &[u8], length: usize) -> Option<(Result<&[u8], String>, &[u8])> {
    let (data, rest) = bytes.split_at_checked(length)?;
    let (stored, rest) = rest.split_at_checked(CHECKSUM)?;
    let computed = masked_checksum(data);
    let same = (stored == computed).then_some(data);
    let error = || format!("checksum {stored:02x?} of {length} bytes, computed {computed:02x?}");
    Some((same.ok_or_else(error), rest))
}

/// Masked, so that the checksum of bytes that contain checksums stays a good one.
fn masked_checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    const MASK_DELTA: u32 = 0xa282_ead8;
    let checksum = crc32c::crc32c(bytes).rotate_right(15);
    checksum.wrapping_add(MASK_DELTA).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::What;

    /// What TensorFlow writes at the beginning of an event file, at second 1.
    const FIRST: [u8; 40] = [
        24, 0, 0, 0, 0, 0, 0, 0, 163, 127, 75, 34, 9, 0, 0, 0, 0, 0, 0, 240, 63, 26, 13, 98, 114,
        97, 105, 110, 46, 69, 118, 101, 110, 116, 58, 50, 134, 191, 87, 122,
    ];

    fn first() -> Event {
        Event {
            wall_time: 1.0,
            step: 0,
            what: Some(What::FileVersion("brain.Event:2".to_owned())),
        }
    }

    #[test]
    fn the_frame_is_that_of_tensorflow() {
        assert_eq!(frame(&first()), FIRST);
    }

    #[test]
    fn a_file_that_ends_early_is_read_up_to_there_and_a_damaged_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            read_events(&path)
        };
        let two = [FIRST, FIRST].concat();
        for cut in 0..FIRST.len() {
            assert_eq!(read(&two[..FIRST.len() + cut]).unwrap(), [first()], "{cut}");
        }
        for index in 0..FIRST.len() {
            let mut damaged = two.clone();
            damaged[FIRST.len() + index] ^= 0x10;
            let error = read(&damaged).unwrap_err().to_string();
            assert!(
                error.contains("at byte 40") && error.contains("events"),
                "{error}"
            );
        }
        assert!(read_events(dir.path().join("absent")).is_err());
    }
}
