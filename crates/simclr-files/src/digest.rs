//! SHA-256 of what is written and read, so that damage is noticed.

use std::io::{self, Read, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use sha2::Sha256;

/// Length of a digest in the form in which files hold it: lower-case hexadecimal.
pub const DIGEST_LENGTH: usize = 64;

/// What stands in a file in the place of its own digest while that is computed.
pub const DIGEST_PLACEHOLDER: &str =
    "0000000000000000000000000000000000000000000000000000000000000000";

/// Bytes that are written and digested at once.
const PIECE: usize = 1 << 20;

/// Pieces that may wait to be digested.
const QUEUE: usize = 8;

/// SHA-256, piece by piece.
///
/// ```
/// let mut digest = simclr_files::Digest::default();
/// digest.update(b"ab");
/// digest.update(b"c");
/// assert!(digest.to_hex().starts_with("ba7816bf"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Digest(Sha256);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut digest = Self::default();
        digest.update(bytes);
        digest
    }

    /// Adds bytes at the end.
    pub fn update(&mut self, bytes: &[u8]) {
        sha2::Digest::update(&mut self.0, bytes);
    }

    /// The digest of the bytes so far, as [`DIGEST_LENGTH`] hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex::encode(sha2::Digest::finalize(self.0.clone()))
    }
}

/// Digests what is written.
impl Write for Digest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The digest of a file that holds it at the byte `digest_at`: that of all its bytes, with
/// [`DIGEST_PLACEHOLDER`] there. What is no longer than that is digested as it is.
///
/// # Errors
/// What `file` returns.
pub fn digest_around(mut file: impl Read, digest_at: u64) -> io::Result<String> {
    let mut digest = Digest::default();
    let mut piece = vec![0; PIECE];
    let mut start = 0u64;
    loop {
        let length = file.read(&mut piece)?;
        let bytes = piece.get_mut(..length).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(digest.to_hex());
        }
        for (place, digit) in (digest_at..).zip(DIGEST_PLACEHOLDER.bytes()) {
            let place = place
                .checked_sub(start)
                .and_then(|at| usize::try_from(at).ok());
            if let Some(byte) = place.and_then(|at| bytes.get_mut(at)) {
                *byte = digit;
            }
        }
        digest.update(bytes);
        start += length as u64;
    }
}

/// Passes on what is written to it, while another thread computes the digest: writing takes no
/// longer for it.
pub(crate) struct DigestWriter<W> {
    out: W,
    piece: Vec<u8>,
    pieces: SyncSender<Vec<u8>>,
    digest: JoinHandle<Digest>,
}

impl<W: Write> DigestWriter<W> {
    pub(crate) fn new(out: W) -> io::Result<Self> {
        let (pieces, received) = sync_channel::<Vec<u8>>(QUEUE);
        let digest = Builder::new().name("digest".into()).spawn(move || {
            let mut digest = Digest::default();
            for piece in received {
                digest.update(&piece);
            }
            digest
        })?;
        Ok(Self {
            out,
            piece: Vec::with_capacity(PIECE),
            pieces,
            digest,
        })
    }

    /// What was written to, and the digest of what was written.
    pub(crate) fn finish(mut self) -> io::Result<(W, String)> {
        self.pass_on()?;
        drop(self.pieces);
        let ended = |_| io::Error::other("the thread that computes the digest ended early");
        Ok((self.out, self.digest.join().map_err(ended)?.to_hex()))
    }

    fn pass_on(&mut self) -> io::Result<()> {
        self.out.write_all(&self.piece)?;
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        let ended = |_| io::Error::other("the thread that computes the digest ended early");
        self.pieces.send(piece).map_err(ended)
    }
}

impl<W: Write> Write for DigestWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() + bytes.len() > PIECE {
            self.pass_on()?;
        }
        self.piece.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_have_the_digest_of_the_whole() {
        let bytes: Vec<u8> = (0..3 * PIECE + 5).map(|i| (i % 251) as u8).collect();
        let mut expected = Digest::default();
        expected.update(&bytes);
        for size in [1000, PIECE - 1, PIECE, 2 * PIECE] {
            let mut writer = DigestWriter::new(Vec::new()).unwrap();
            for piece in bytes.chunks(size) {
                writer.write_all(piece).unwrap();
            }
            let (written, digest) = writer.finish().unwrap();
            assert!(written == bytes);
            assert_eq!(digest, expected.to_hex());
        }
    }

    #[test]
    fn the_digest_does_not_depend_on_what_stands_in_its_place() {
        // The place lies across the border of two pieces.
        for (length, at) in [(PIECE + 100, PIECE - 10), (100, 0), (70, 6), (50, 20)] {
            let digest = |fill: u8, other: u8| {
                let mut bytes = vec![other; length];
                let end = length.min(at + DIGEST_LENGTH);
                bytes[at..end].fill(fill);
                digest_around(bytes.as_slice(), at as u64).unwrap()
            };
            assert_eq!(digest(b'0', 1), digest(b'f', 1));
            assert_ne!(digest(b'0', 1), digest(b'0', 2));
        }
    }
}
