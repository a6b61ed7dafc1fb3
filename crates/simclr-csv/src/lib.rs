//! CSV files as spreadsheets save them, as text: in UTF-8 or UTF-16, with a byte-order mark or
//! without, with commas, semicolons or tabs between cells, with Excel's first line `sep=;`, and with
//! any line ends. The crate [`csv`] reads the text, and [`NumberParser`] the numbers in it, with a
//! decimal comma where that is no separator.
//!
//! ```
//! use simclr_csv::CsvText;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let saved = b"\xef\xbb\xbfsep=;\r\nname;depth\r\n\r\nA;1,5\r\n";
//! let text = CsvText::new(saved.to_vec())?;
//! let mut reader = csv::ReaderBuilder::new()
//!     .delimiter(text.separator())
//!     .from_reader(text.body());
//! assert_eq!(reader.headers()?, vec!["name", "depth"]);
//! let row = reader.records().next().ok_or("no row")??;
//! assert_eq!((text.numbers().parse(&row[1])?, text.line(row.position())), (1.5, Some(4)));
//! # Ok(())
//! # }
//! ```

mod error;
mod number;
mod text;

pub use csv;
pub use error::{Error, Result};
pub use number::{NumberError, NumberParser};
pub use text::{CsvText, decode};

/// The program of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
