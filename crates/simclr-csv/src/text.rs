//! The text of a CSV file.

use csv::Position;

use crate::error::{Error, Result};
use crate::number::NumberParser;

/// What a first line that names the separator for Excel begins with.
const SEPARATOR: &str = "sep=";

/// What cells are parted by where nothing says so; where a header has as many of several, the last
/// counts.
const SEPARATORS: [u8; 3] = [b'\t', b';', b','];

/// A CSV file as UTF-8 without its byte-order mark.
#[derive(Debug, Clone)]
pub struct CsvText {
    text: String,
    /// Where the header begins: after a line that names the separator.
    start: usize,
    separator: u8,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl CsvText {
    /// The text of a file's bytes.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn new(bytes: Vec<u8>) -> Result<Self> {
        let text = decode(bytes)?;
        let lines = line_starts(text.as_bytes());
        let first = &text[..lines.get(1).copied().unwrap_or(text.len())];
        let named = named_separator(first);
        let start = named.map_or(0, |_| first.len());
        let separator = named.unwrap_or_else(|| counted_separator(&text));
        Ok(Self {
            text,
            start,
            separator,
            lines,
        })
    }

    /// The text from the header on.
    pub fn body(&self) -> &[u8] {
        &self.text.as_bytes()[self.start..]
    }

    /// What cells are parted by: what the first line says, or the most frequent of tabs, semicolons
    /// and commas in the header.
    pub fn separator(&self) -> u8 {
        self.separator
    }

    /// A parser of the numbers in the table.
    pub fn numbers(&self) -> NumberParser {
        NumberParser::new(self.separator)
    }

    /// The line of the file, from 1, on which what a reader of [`body`](Self::body) found begins;
    /// `None` without a place in it.
    pub fn line(&self, position: Option<&Position>) -> Option<u64> {
        let byte = usize::try_from(position?.byte()).ok()?;
        let rest = self.body().get(byte..)?;
        // The reader's place may be before the line ends that it has yet to pass over.
        let ends = |byte: &&u8| matches!(**byte, b'\n' | b'\r');
        let at = self.start + byte + rest.iter().take_while(ends).count();
        Some(self.line_at(at))
    }

    fn line_at(&self, place: usize) -> u64 {
        self.lines.partition_point(|start| *start <= place) as u64
    }
}

/// A file's bytes as text, without its byte-order mark. The mark says which encoding they have; without
/// one they are taken for UTF-8.
///
/// # Errors
/// [`Error::NotUtf8`], [`Error::DamagedUtf16`], [`Error::Archive`] and [`Error::NotText`].
pub fn decode(mut bytes: Vec<u8>) -> Result<String> {
    match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, ..] => utf8(bytes.split_off(3)),
        [b'P', b'K', 3, 4, ..] => Err(Error::Archive),
        _ if bytes.contains(&0) => Err(Error::NotText),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let lines = line_starts(error.as_bytes());
        let line = lines.partition_point(|start| *start <= good) as u64;
        Error::NotUtf8 { line }
    })
}

fn utf16(bytes: &[u8], number: impl Fn([u8; 2]) -> u16) -> Result<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let numbers = pairs.iter().copied().map(number);
    let text: Result<String, _> = char::decode_utf16(numbers).collect();
    let text = text.ok().filter(|_| rest.is_empty());
    text.ok_or(Error::DamagedUtf16)
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
fn named_separator(first: &str) -> Option<u8> {
    let line = first.trim_end_matches(['\r', '\n']);
    let line = line.strip_prefix('"').unwrap_or(line);
    let line = line.strip_suffix('"').unwrap_or(line);
    let (begin, rest) = line.as_bytes().split_at_checked(SEPARATOR.len())?;
    match rest {
        [separator] if begin.eq_ignore_ascii_case(SEPARATOR.as_bytes()) => Some(*separator),
        _ => None,
    }
}

/// The separator that the header has most of, outside of quotes.
fn counted_separator(text: &str) -> u8 {
    // The reader passes over empty lines before it.
    let header = text.split(['\n', '\r']).find(|line| !line.is_empty());
    let header = header.unwrap_or_default();
    let unquoted = || header.split('"').step_by(2).flat_map(str::bytes);
    let count = |separator: &u8| unquoted().filter(|byte| byte == separator).count();
    SEPARATORS.into_iter().max_by_key(count).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The cells, and the lines of the rows.
    fn read(bytes: &[u8]) -> (Vec<Vec<String>>, Vec<u64>) {
        let text = CsvText::new(bytes.to_vec()).unwrap();
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(text.separator())
            .has_headers(false)
            .from_reader(text.body());
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        let cells = |row: &csv::StringRecord| row.iter().map(str::to_owned).collect();
        let lines = |row: &csv::StringRecord| text.line(row.position()).unwrap();
        (
            rows.iter().map(cells).collect(),
            rows.iter().map(lines).collect(),
        )
    }

    #[test]
    fn a_table_is_the_same_however_it_was_saved() {
        let plain = "name,é\na,1\n\nb,2\n";
        let cells = read(plain.as_bytes()).0;
        assert_eq!(cells, [["name", "é"], ["a", "1"], ["b", "2"]]);
        for ends in ["\n", "\r\n", "\r"] {
            for separator in [",", ";", "\t"] {
                let body = plain.replace('\n', ends).replace(',', separator);
                assert_eq!(read(body.as_bytes()), (cells.clone(), vec![1, 2, 4]));
                for named in [format!("sep={separator}"), format!("\"SEP={separator}\"")] {
                    let text = format!("{named}{ends}{body}");
                    assert_eq!(read(text.as_bytes()), (cells.clone(), vec![2, 3, 5]));
                    let marked = format!("\u{feff}{text}");
                    let numbers = || marked.encode_utf16();
                    for bytes in [
                        marked.clone().into_bytes(),
                        numbers().flat_map(u16::to_le_bytes).collect(),
                        numbers().flat_map(u16::to_be_bytes).collect(),
                    ] {
                        assert_eq!(read(&bytes), (cells.clone(), vec![2, 3, 5]));
                    }
                }
            }
        }
    }

    #[test]
    fn separators_in_quotes_do_not_count() {
        assert_eq!(read(b"\"a;b;c\",d\n").0, [["a;b;c", "d"]]);
        assert_eq!(read(b"a\n").0, [["a"]]);
        assert_eq!(read(b"\r\n\na;b\n1;2\n").1, [3, 4]);
        assert_eq!(read(b"\r\n\na;b\n1;2\n").0, [["a", "b"], ["1", "2"]]);
        assert_eq!(read(b"").0, Vec::<Vec<String>>::new());
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let error = |bytes: &[u8]| CsvText::new(bytes.to_vec()).unwrap_err();
        assert_eq!(error(b"a\r\nb\xff\r\n"), Error::NotUtf8 { line: 2 });
        assert_eq!(error(b"\xff"), Error::NotUtf8 { line: 1 });
        assert_eq!(error(b"PK\x03\x04\x14\0"), Error::Archive);
        assert_eq!(error(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), Error::NotText);
        // Half a number, and half a pair of numbers.
        assert_eq!(error(b"\xff\xfea\0b"), Error::DamagedUtf16);
        assert_eq!(error(b"\xfe\xff\xd8\0"), Error::DamagedUtf16);
    }
}
