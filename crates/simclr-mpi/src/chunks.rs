//! Messages in pieces that 32-bit counts can express.

use std::ops::Range;

/// The longest buffer that MPI is given, in bytes: its counts are 32-bit.
#[cfg(feature = "mpi")]
pub(crate) const LONGEST: usize = i32::MAX as usize;

/// Calls `exchange` until each of `ranks` parts of a message of `part` bytes has gone to, or come
/// from, its rank; it gets the bytes of each part that are to go at once. No more than `largest`
/// bytes go at once in all.
fn for_each_piece(
    part: usize,
    ranks: usize,
    largest: usize,
    mut exchange: impl FnMut(Range<usize>),
) {
    let piece = (largest / ranks).max(1);
    let mut start = 0;
    while start < part {
        let end = part.min(start + piece);
        exchange(start..end);
        start = end;
    }
}

/// An all-gather by calls of `exchange`, an all-gather whose second buffer is at most `largest`
/// bytes long.
pub(crate) fn all_gather(
    own: &[u8],
    all: &mut [u8],
    ranks: usize,
    largest: usize,
    mut exchange: impl FnMut(&[u8], &mut [u8]),
) {
    if all.len() <= largest {
        return exchange(own, all);
    }
    let part = own.len();
    for_each_piece(part, ranks, largest, |bytes| {
        let mut received = vec![0; ranks * bytes.len()];
        exchange(&own[bytes.clone()], &mut received);
        copy_to_parts(&received, all, part, &bytes);
    });
}

/// An all-to-all by calls of `exchange`, an all-to-all whose buffers are at most `largest` bytes
/// long.
pub(crate) fn all_to_all(
    send: &[u8],
    all: &mut [u8],
    ranks: usize,
    largest: usize,
    mut exchange: impl FnMut(&[u8], &mut [u8]),
) {
    if send.len() <= largest {
        return exchange(send, all);
    }
    let part = send.len() / ranks;
    for_each_piece(part, ranks, largest, |bytes| {
        let of_part = |part: &[u8]| part[bytes.clone()].to_vec();
        let sent: Vec<u8> = send.chunks_exact(part).flat_map(of_part).collect();
        let mut received = vec![0; sent.len()];
        exchange(&sent, &mut received);
        copy_to_parts(&received, all, part, &bytes);
    });
}

/// Copies the pieces of all ranks to the places `bytes` of their parts.
fn copy_to_parts(received: &[u8], all: &mut [u8], part: usize, bytes: &Range<usize>) {
    let pieces = received.chunks_exact(bytes.len());
    for (to, piece) in all.chunks_exact_mut(part).zip(pieces) {
        to[bytes.clone()].copy_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANKS: usize = 3;
    const LARGEST: [usize; 6] = [1, 3, 4, 10, 20, 1000];

    /// The bytes that a rank sends: all different.
    fn message(rank: usize, len: usize) -> Vec<u8> {
        (0..len).map(|i| (rank * 64 + i) as u8).collect()
    }

    #[test]
    fn pieces_gather_what_one_call_gathers() {
        for largest in LARGEST {
            for len in [0, 1, 5, 20] {
                let expected: Vec<u8> = (0..RANKS).flat_map(|rank| message(rank, len)).collect();
                let mut all = vec![0xff; RANKS * len];
                let mut at = 0;
                all_gather(&message(1, len), &mut all, RANKS, largest, |own, all| {
                    assert!(all.len() <= largest.max(RANKS));
                    assert_eq!(own, &message(1, len)[at..at + own.len()]);
                    for (rank, to) in all.chunks_exact_mut(own.len().max(1)).enumerate() {
                        to.copy_from_slice(&message(rank, len)[at..at + own.len()]);
                    }
                    at += own.len();
                });
                assert_eq!((all, at), (expected, len));
            }
        }
    }

    #[test]
    fn pieces_exchange_what_one_call_exchanges() {
        for largest in LARGEST {
            for part in [0, 1, 7] {
                let sent = message(0, RANKS * part);
                let mut received = vec![0xff; RANKS * part];
                let mut calls = 0;
                all_to_all(&sent, &mut received, RANKS, largest, |send, received| {
                    assert!(send.len() <= largest.max(RANKS));
                    assert_eq!(send.len(), received.len());
                    // What rank 1 would get if all ranks sent the same.
                    let part = send.len() / RANKS;
                    let own = &send[part..2 * part];
                    for to in received.chunks_exact_mut(part.max(1)) {
                        to.copy_from_slice(own);
                    }
                    calls += 1;
                });
                assert_eq!(received, sent[part..2 * part].repeat(RANKS));
                assert_eq!(calls > 1, RANKS * part > largest && part > 1);
            }
        }
    }
}
