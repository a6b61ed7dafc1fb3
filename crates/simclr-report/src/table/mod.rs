//! Tables for reports, terminals and programs.

mod cell;

use std::fmt;
use std::io::Write;
use std::path::Path;

use comfy_table::CellAlignment;
use simclr_files::{Durability, write_atomically};

use cell::CSV_PARTS;
pub use cell::{Cell, Estimate, percent, short_percent};

use crate::error::{Error, Result};

/// A table. It prints as Markdown, is a block of a [`Report`](crate::Report)
/// and is written as CSV beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    name: String,
    caption: String,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without columns and rows; `name` becomes the name of its file.
    pub fn new(name: impl Into<String>, caption: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            caption: caption.into(),
            columns: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// The name of its file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it shows, in a sentence.
    pub fn caption(&self) -> &str {
        &self.caption
    }

    /// Names the columns.
    pub fn columns<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.columns = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a row, which must have a cell for each column.
    pub fn row(mut self, cells: impl IntoIterator<Item = Cell>) -> Self {
        self.rows.push(cells.into_iter().collect());
        self
    }

    /// How many images each class has in each split, with totals: `splits` are
    /// the names of the splits and their counts by class.
    pub fn class_counts(
        name: impl Into<String>,
        caption: impl Into<String>,
        classes: &[String],
        splits: &[(&str, Vec<usize>)],
    ) -> Self {
        let splits_of = || splits.iter().map(|(_, counts)| counts);
        let names = splits.iter().map(|(name, _)| *name);
        let columns = std::iter::once("class").chain(names).chain(["total"]);
        let row = |name: &str, counts: Vec<usize>| {
            let total = counts.iter().sum();
            let counts = counts.into_iter().chain([total]).map(Cell::from);
            std::iter::once(name.into())
                .chain(counts)
                .collect::<Vec<_>>()
        };
        let mut table = Self::new(name, caption).columns(columns);
        for (class, name) in classes.iter().enumerate() {
            let counts = splits_of().map(|counts| counts.get(class).copied().unwrap_or(0));
            table = table.row(row(name, counts.collect()));
        }
        let totals = splits_of().map(|counts| counts.iter().sum());
        table.row(row("total", totals.collect()))
    }

    /// Writes the table as CSV: numbers with all their digits, shares as shares
    /// of one, and a column of estimates as mean, standard deviation, ends of
    /// the interval and count.
    ///
    /// # Errors
    /// [`Error::Report`] if a row has more or fewer cells than there are
    /// columns; or `output` cannot be written to.
    pub fn write_csv(&self, output: &mut dyn Write) -> Result<()> {
        self.check()?;
        let has_estimates = |column: usize| self.rows.iter().any(|row| row[column].is_estimate());
        let estimates: Vec<bool> = (0..self.columns.len()).map(has_estimates).collect();
        let header = self.columns.iter().zip(&estimates);
        let header = header.flat_map(|(name, estimate)| {
            let parts = &CSV_PARTS[..if *estimate { CSV_PARTS.len() } else { 1 }];
            parts.iter().map(move |part| format!("{name}{part}"))
        });
        let rows = self.rows.iter().map(|row| {
            let cells = row.iter().zip(&estimates);
            let cells = cells.flat_map(|(cell, estimate)| cell.csv(*estimate));
            cells.collect::<Vec<_>>()
        });
        let mut writer = csv::Writer::from_writer(output);
        [header.collect()]
            .into_iter()
            .chain(rows)
            .try_for_each(|record| writer.write_record(record))
            .map_err(std::io::Error::from)
            .and_then(|()| writer.flush())
            .map_err(|error| self.error(error.to_string()))
    }

    /// Writes the table to a CSV file, atomically; see [`write_csv`](Self::write_csv).
    ///
    /// # Errors
    /// As [`write_csv`](Self::write_csv); [`Error::File`] if the file cannot be written.
    pub fn save_csv(&self, path: &Path) -> Result<()> {
        write_atomically(path, Durability::Synchronized, |file| self.write_csv(file))
    }

    /// Whether each row has a cell for each column.
    pub(crate) fn check(&self) -> Result<()> {
        let columns = self.columns.len();
        match self.rows.iter().position(|row| row.len() != columns) {
            None => Ok(()),
            Some(row) => {
                let cells = self.rows[row].len();
                Err(self.error(format!("row {row} has {cells} cells for {columns} columns")))
            }
        }
    }

    fn error(&self, reason: String) -> Error {
        let block = format!("table `{}`", self.name);
        Error::Report { block, reason }
    }

    /// Whether a column holds numbers only, which are aligned to the right.
    pub(crate) fn is_numeric(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.all(Cell::is_number)
    }
}

/// A text that stays in its cell.
fn in_markdown(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::ASCII_MARKDOWN);
        table.set_header(self.columns.iter().map(|name| in_markdown(name)));
        for row in &self.rows {
            table.add_row(row.iter().map(|cell| in_markdown(&cell.show())));
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            if self.is_numeric(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        write!(f, "{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(table: &Table) -> String {
        let mut output = Vec::new();
        table.write_csv(&mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn names_stay_in_their_cells() {
        let table = Table::new("t", "")
            .columns(["a|b"])
            .row(["two\nlines".into()]);
        let text = table.to_string();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(
            text.contains("a\\|b") && text.contains("two lines"),
            "{text}"
        );
    }

    fn results() -> Table {
        Table::new("results", "")
            .columns(["method", "accuracy", "images"])
            .row(["untrained".into(), Cell::share(0.5), 12usize.into()])
            .row([
                "pretrained, \"task\"".into(),
                Cell::Estimate(Estimate {
                    count: 2,
                    mean: 0.625,
                    standard_deviation: Some(0.176_776_695),
                    interval: Some((-0.963, 2.213)),
                }),
                7usize.into(),
            ])
    }

    #[test]
    fn the_csv_has_all_the_digits_and_the_parts_of_estimates() {
        let text = csv(&results());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "method,accuracy,accuracy standard deviation,accuracy interval low,\
             accuracy interval high,accuracy count,images"
        );
        assert_eq!(lines[1], "untrained,0.5,,,,,12");
        assert!(
            lines[2].starts_with("\"pretrained, \"\"task\"\"\",0.625,0.17677"),
            "{text}"
        );
        assert!(lines[2].ends_with(",2,7"), "{text}");
    }

    #[test]
    fn the_terminal_shows_rounded_figures_to_the_right() {
        let text = results().to_string();
        assert!(text.contains("| untrained          |"), "{text}");
        assert!(text.contains(" 50.0 % |     12 |"), "{text}");
    }

    #[test]
    fn class_counts_add_up() {
        let classes = ["none".to_owned(), "crack".to_owned()];
        let splits = [("train", vec![3, 1]), ("test", vec![20, 10])];
        let table = Table::class_counts("counts", "", &classes, &splits);
        assert_eq!(
            csv(&table),
            "class,train,test,total\nnone,3,20,23\ncrack,1,10,11\ntotal,4,30,34\n"
        );
    }

    #[test]
    fn a_row_of_the_wrong_length_is_reported() {
        let table = Table::new("short", "")
            .columns(["a", "b"])
            .row(["x".into()]);
        let error = table.write_csv(&mut Vec::new()).unwrap_err().to_string();
        assert!(
            error.contains("table `short`: row 0 has 1 cells for 2 columns"),
            "{error}"
        );
    }
}
