//! Numbers in cells.

use std::sync::OnceLock;

/// Reads the numbers of one table.
///
/// Where cells are parted by commas, a number has a decimal point. Elsewhere it may have a decimal
/// comma instead, as a European spreadsheet writes it. All numbers of a table have the same: in a
/// table with `3,25`, nobody knows whether `1.234` is a little more than one or than a thousand.
/// Separators between thousands are refused for the same reason.
///
/// ```
/// use simclr_csv::{CsvText, NumberError};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let numbers = CsvText::new(b"name;depth\nA;3,25\n".to_vec())?.numbers();
/// assert_eq!(numbers.parse("3,25")?, 3.25);
/// assert_eq!(numbers.parse("1.234,5"), Err(NumberError::Grouped));
///
/// let numbers = CsvText::new(b"name,depth\nA,3.25\n".to_vec())?.numbers();
/// assert_eq!(numbers.parse("3,25"), Err(NumberError::NotANumber));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct NumberParser {
    separator: u8,
    /// The decimal mark of the first number that has one. Behind a lock, so that a table which is
    /// shared between threads can hold a parser.
    decimal_mark: OnceLock<DecimalMark>,
}

/// What stands before the decimals of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DecimalMark {
    Comma,
    Point,
}

/// Why a cell is no number: what was expected in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NumberError {
    /// A cell that is no number in any notation.
    #[error("expected a number")]
    NotANumber,
    /// Digits with several commas or points, spaces or apostrophes between them.
    #[error("expected a number without separators between thousands, such as 1234,5")]
    Grouped,
    /// A decimal point in a table whose numbers above have decimal commas.
    #[error("expected a decimal comma, as in the numbers above: a table has one decimal mark")]
    PointAmongCommas,
    /// A decimal comma in a table whose numbers above have decimal points.
    #[error("expected a decimal point, as in the numbers above: a table has one decimal mark")]
    CommaAmongPoints,
}

impl NumberParser {
    /// For a table whose cells are parted by `separator`.
    pub(crate) fn new(separator: u8) -> Self {
        Self {
            separator,
            decimal_mark: OnceLock::new(),
        }
    }

    /// The number in a cell, without the space around it. It may be infinite or not a number, where
    /// the cell says so.
    ///
    /// # Errors
    /// A cell that is no number, or not clearly one. The message says what was expected; the caller
    /// knows the file, the line, the column and the value.
    pub fn parse(&self, cell: &str) -> Result<f64, NumberError> {
        let cell = cell.trim();
        if self.separator == b',' {
            return cell.parse().map_err(|_| NumberError::NotANumber);
        }
        let mark = decimal_mark(cell)?;
        let number = match mark {
            Some(DecimalMark::Comma) => cell.replace(',', ".").parse(),
            _ => cell.parse(),
        };
        let number = number.map_err(|_| refusal(cell))?;
        self.check_mark(mark)?;
        Ok(number)
    }

    /// That the table has had no other decimal mark.
    fn check_mark(&self, mark: Option<DecimalMark>) -> Result<(), NumberError> {
        let Some(mark) = mark else {
            return Ok(());
        };
        if *self.decimal_mark.get_or_init(|| mark) == mark {
            return Ok(());
        }
        Err(match mark {
            DecimalMark::Comma => NumberError::CommaAmongPoints,
            DecimalMark::Point => NumberError::PointAmongCommas,
        })
    }
}

/// The decimal mark of a number, if it has one.
fn decimal_mark(cell: &str) -> Result<Option<DecimalMark>, NumberError> {
    match (cell.matches(',').count(), cell.matches('.').count()) {
        (0, 0) => Ok(None),
        (1, 0) => Ok(Some(DecimalMark::Comma)),
        (0, 1) => Ok(Some(DecimalMark::Point)),
        _ => Err(refusal(cell)),
    }
}

/// What is wrong with a cell that is no number: digits with something between them, or a text.
fn refusal(cell: &str) -> NumberError {
    let digits = cell.strip_prefix(['-', '+']).unwrap_or(cell);
    let is_separator = |letter: char| letter.is_whitespace() || ",.'\u{2019}".contains(letter);
    let is_part = |letter: char| letter.is_ascii_digit() || is_separator(letter);
    if digits.starts_with(|letter: char| letter.is_ascii_digit()) && digits.chars().all(is_part) {
        NumberError::Grouped
    } else {
        NumberError::NotANumber
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_are_decimal_where_they_do_not_part_cells() {
        for separator in [b';', b'\t', b'|'] {
            let parse = |cell| NumberParser::new(separator).parse(cell);
            for (cell, number) in [
                ("3,25", 3.25),
                (" -0,5 ", -0.5),
                (",5", 0.5),
                ("1,5e-3", 0.0015),
                ("-999,25", -999.25),
                ("1,234", 1.234),
                ("3.25", 3.25),
                ("12", 12.0),
            ] {
                assert_eq!(parse(cell), Ok(number), "{cell}");
            }
            for cell in [
                "1.234,5",
                "-1,234.5",
                "1,234,567",
                "1.234.567",
                "1 234,5",
                "1'234,5",
            ] {
                assert_eq!(parse(cell), Err(NumberError::Grouped), "{cell}");
            }
            for cell in ["", ",", "deep", "3,25 m", "a,b", "i.e., 3", "12-11"] {
                assert_eq!(parse(cell), Err(NumberError::NotANumber), "{cell}");
            }
        }
    }

    #[test]
    fn commas_between_cells_are_never_decimal() {
        let parse = |cell| NumberParser::new(b',').parse(cell);
        assert_eq!(parse("3.25"), Ok(3.25));
        for cell in ["3,25", "1.234,5", "1,234", "1.2.3", "deep"] {
            assert_eq!(parse(cell), Err(NumberError::NotANumber), "{cell}");
        }
    }

    #[test]
    fn a_table_has_one_decimal_mark() {
        let numbers = NumberParser::new(b';');
        assert_eq!(numbers.parse("7"), Ok(7.0));
        // A text decides nothing.
        assert!(numbers.parse("a.b").is_err());
        assert_eq!(numbers.parse("3,25"), Ok(3.25));
        assert_eq!(numbers.parse("1.234"), Err(NumberError::PointAmongCommas));
        assert_eq!(numbers.clone().parse("8"), Ok(8.0));
        let numbers = NumberParser::new(b';');
        assert_eq!(numbers.parse("3.25"), Ok(3.25));
        assert_eq!(numbers.parse("1,234"), Err(NumberError::CommaAmongPoints));
    }
}
