//! Variable-length integers, and the keys under which slices are stored.

/// Takes a base-128 integer, least significant group first, off the front.
/// `None` if the bytes end or the number is no length in memory.
pub(crate) fn take_varint(bytes: &mut &[u8]) -> Option<usize> {
    prost::decode_length_delimiter(bytes).ok()
}

/// Takes `count` bytes off the front.
pub(crate) fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(count)?;
    *bytes = tail;
    Some(head)
}

/// One axis of a slice: from where, and how many; `None` for the whole axis.
pub(crate) type Extent = Option<(i64, i64)>;

/// The key of a slice's values (`EncodeTensorNameSlice`): a zero, the name, and the extents in
/// an encoding whose byte order is that of the values (`OrderedCode`).
pub(crate) fn slice_key(name: &str, extents: &[Extent]) -> Vec<u8> {
    let mut key = Vec::new();
    push_ordered_unsigned(&mut key, 0);
    push_ordered_text(&mut key, name.as_bytes());
    push_ordered_unsigned(&mut key, extents.len() as u64);
    for extent in extents {
        let (start, length) = extent.unwrap_or((0, -1));
        push_ordered_signed(&mut key, start);
        push_ordered_signed(&mut key, length);
    }
    key
}

/// The number of bytes, then the bytes, most significant first.
fn push_ordered_unsigned(key: &mut Vec<u8>, value: u64) {
    let bytes = value.to_be_bytes();
    let skipped = value.leading_zeros() as usize / 8;
    key.push((bytes.len() - skipped) as u8);
    key.extend(bytes.iter().skip(skipped));
}

/// 00 becomes 00 ff, ff becomes ff 00, and 00 01 ends the text.
fn push_ordered_text(key: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            0x00 => key.extend([0x00, 0xff]),
            0xff => key.extend([0xff, 0x00]),
            other => key.push(other),
        }
    }
    key.extend([0x00, 0x01]);
}

/// As many leading ones as bytes, a zero, then the number; all inverted if it is negative.
fn push_ordered_signed(key: &mut Vec<u8>, value: i64) {
    let magnitude = if value < 0 { !value } else { value };
    let bits = 64 - magnitude.leading_zeros() as usize;
    let length = bits / 7 + 1;
    // Sign-extended to ten bytes, of which the last `length` are kept.
    let mut bytes = i128::from(value).to_be_bytes();
    let header = if length < 9 {
        [!(0xff_u8.checked_shr(length as u32).unwrap_or(0)), 0]
    } else {
        [0xff, if length == 9 { 0x80 } else { 0xc0 }]
    };
    let start = bytes.len() - length;
    for (byte, bits) in bytes.iter_mut().skip(start).zip(header) {
        *byte ^= bits;
    }
    key.extend(bytes.iter().skip(start));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_every_length() {
        let mut bytes: &[u8] = &[0x00, 0x7f, 0x80, 0x01, 0xac, 0x02];
        let values: Vec<_> = std::iter::from_fn(|| take_varint(&mut bytes)).collect();
        assert_eq!(values, [0, 127, 128, 300]);
        let mut largest: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(take_varint(&mut largest), usize::try_from(u64::MAX).ok());
        let too_large = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert_eq!(take_varint(&mut &too_large[..]), None);
        assert_eq!(take_varint(&mut &[0x80; 20][..]), None);
        assert_eq!(take_varint(&mut &[0x80][..]), None);
    }

    #[test]
    fn signed_numbers_keep_their_order() {
        // The examples of TensorFlow's own test of OrderedCode.
        let encoded = |value| {
            let mut key = Vec::new();
            push_ordered_signed(&mut key, value);
            key
        };
        assert_eq!(encoded(0), [0x80]);
        assert_eq!(encoded(-1), [0x7f]);
        assert_eq!(encoded(63), [0xbf]);
        assert_eq!(encoded(64), [0xc0, 0x40]);
        assert_eq!(encoded(-64), [0x40]);
        assert_eq!(encoded(-65), [0x3f, 0xbf]);
        let mut numbers = vec![i64::MIN, i64::MAX];
        for shift in 0..63 {
            for nearby in -1..=1 {
                numbers.extend([(1i64 << shift) + nearby, -(1i64 << shift) + nearby]);
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        for pair in numbers.windows(2) {
            assert!(encoded(pair[0]) < encoded(pair[1]), "{pair:?}");
        }
    }
}
