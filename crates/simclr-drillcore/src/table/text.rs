//! The text of CSV files, as programs for tables save them.

use std::path::{Path, PathBuf};

use csv::{ErrorKind, Position};

use crate::error::{Error, Result};

/// What a first line that names the separator for Excel begins with.
const SEPARATOR: &[u8] = b"sep=";

/// A CSV file as UTF-8 without its byte-order mark.
pub(crate) struct CsvText {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Where the header begins: after a line that names the separator.
    start: usize,
    separator: Option<u8>,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl CsvText {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(simclr_files::Error::io(path))?;
        let bytes = decoded(path, bytes)?;
        let lines = line_starts(&bytes);
        let first = &bytes[..lines.get(1).copied().unwrap_or(bytes.len())];
        let separator = named_separator(first);
        Ok(Self {
            path: path.to_owned(),
            start: separator.map_or(0, |_| first.len()),
            separator,
            bytes,
            lines,
        })
    }

    /// The text from the header on.
    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// What cells are parted by: what the file says, or the most frequent in its header.
    pub(super) fn separator(&self) -> u8 {
        let mut counts = [(b'\t', 0), (b';', 0), (b',', 0)];
        let mut quoted = false;
        let ends = |byte: &&u8| **byte != b'\n' && **byte != b'\r';
        for byte in self.body().iter().take_while(ends) {
            quoted ^= *byte == b'"';
            let counted = counts.iter_mut().filter(|(other, _)| other == byte);
            counted.for_each(|(_, count)| *count += usize::from(!quoted));
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        self.separator
            .or(most.map(|(byte, _)| byte))
            .unwrap_or(b',')
    }

    /// The line of the file, from 1, on which what the CSV reader found begins.
    pub(crate) fn line(&self, position: Option<&Position>) -> Option<u64> {
        let byte = usize::try_from(position?.byte()).ok()?;
        let rest = self.body().get(byte..)?;
        // The reader's place may be before the line ends that it has yet to pass over.
        let ends = |byte: &&u8| matches!(**byte, b'\n' | b'\r');
        let at = self.start + byte + rest.iter().take_while(ends).count();
        Some(self.lines.partition_point(|start| *start <= at) as u64)
    }

    /// What the CSV reader says of this file.
    pub(crate) fn failed(&self, error: csv::Error) -> Error {
        let line = self.line(error.position());
        let reason = match error.kind() {
            ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => unequal(*len as usize, *expected_len as usize),
            ErrorKind::Utf8 { .. } => "the text is not UTF-8: save it as `CSV UTF-8`".to_owned(),
            ErrorKind::Deserialize { err, .. } => err.to_string(),
            _ => error.to_string(),
        };
        Error::table(&self.path, line, reason)
    }
}

/// What is wrong with a row that has other cells than the header.
pub(super) fn unequal(cells: usize, headers: usize) -> String {
    format!("the row has {cells} cells, and the header has {headers}")
}

/// The text as UTF-8. A byte-order mark says which encoding it has; without, it is taken for UTF-8.
fn decoded(path: &Path, mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    let number = match bytes.as_slice() {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        [0xef, 0xbb, 0xbf, ..] => return Ok(bytes.split_off(3)),
        _ => return Ok(bytes),
    };
    let (pairs, rest) = bytes[2..].as_chunks::<2>();
    let text = char::decode_utf16(pairs.iter().copied().map(number)).collect::<Result<String, _>>();
    let text = text.ok().filter(|_| rest.is_empty());
    text.map(String::into_bytes).ok_or_else(|| {
        let reason = "the text begins as UTF-16, but is not: save it as `CSV UTF-8`";
        Error::table(path, None, reason)
    })
}

/// Where lines begin: a line ends with `\n`, `\r\n` or, in old files, `\r`.
fn line_starts(bytes: &[u8]) -> Vec<usize> {
    let ends = (0..bytes.len()).filter(|&place| match bytes[place] {
        b'\n' => true,
        b'\r' => bytes.get(place + 1) != Some(&b'\n'),
        _ => false,
    });
    std::iter::once(0)
        .chain(ends.map(|place| place + 1))
        .collect()
}

/// The separator that the first line names, as in `sep=;`.
fn named_separator(first: &[u8]) -> Option<u8> {
    let line = first.strip_suffix(b"\n").unwrap_or(first);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_prefix(b"\"").unwrap_or(line);
    let line = line.strip_suffix(b"\"").unwrap_or(line);
    let (begin, rest) = line.split_at_checked(SEPARATOR.len())?;
    match rest {
        [separator] if begin.eq_ignore_ascii_case(SEPARATOR) => Some(*separator),
        _ => None,
    }
}
