//! Tables of images, in the forms in which programs write CSV.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use simclr_csv::{CsvText, NumberParser};
use simclr_files::{describe_forms, normalized_name};

use crate::error::{Error, Result};

/// A table that was read whole: CSV as spreadsheets save it ([`CsvText`]).
///
/// Columns are found by their names in capital or small letters. Rows without anything in them are
/// passed over, and so are empty cells past the last column.
///
/// ```no_run
/// use simclr_data::CsvTable;
///
/// # fn main() -> simclr_data::Result<()> {
/// let table = CsvTable::read("labels.csv")?;
/// for row in table.images()? {
///     println!("{}: {:?}", row.image, row.class);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct CsvTable {
    path: PathBuf,
    separator: u8,
    numbers: NumberParser,
    headers: Vec<String>,
    rows: Vec<CsvRow>,
}

/// A row of a [`CsvTable`].
#[derive(Debug, Clone)]
pub struct CsvRow {
    line: u64,
    cells: Vec<String>,
}

/// A row that is about an image.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ImageRow<'t> {
    /// The row.
    pub row: &'t CsvRow,
    /// The image's path as [`image_path`] writes it.
    pub image: String,
    /// Its class, unless the cell is empty.
    pub class: Option<&'t str>,
    /// Further rows about it, with the same class.
    pub repeats: Vec<&'t CsvRow>,
}

impl CsvRow {
    /// The line in the file.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// All cells, one for each column, as they stand in the file.
    pub fn cells(&self) -> &[String] {
        &self.cells
    }

    /// What stands in a column, without space around it.
    pub fn cell(&self, column: usize) -> &str {
        self.cells.get(column).map_or("", |cell| cell.trim())
    }
}

impl CsvTable {
    /// The columns of images' paths.
    pub const IMAGE: [&'static str; 2] = ["image", "tile"];
    /// The columns of classes.
    pub const CLASS: [&'static str; 2] = ["class", "label"];

    /// Reads a table, which may have no rows.
    ///
    /// # Errors
    /// A file that cannot be read, is in another encoding, or has rows with other numbers of cells
    /// than its header.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let unreadable = |reason: String| Error::unreadable(path.display(), reason);
        let bytes = std::fs::read(path).map_err(|error| Error::io(path, error))?;
        let text = CsvText::new(bytes)
            .map_err(|error| unreadable(format!("{error}; save the table as CSV in UTF-8")))?;
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(text.separator())
            .flexible(true)
            .from_reader(text.body());
        let wrong = |error: csv::Error| unreadable(error.to_string());
        let headers = reader.headers().map_err(wrong)?;
        let mut table = Self {
            path: path.to_owned(),
            separator: text.separator(),
            numbers: text.numbers(),
            headers: headers.iter().map(str::to_owned).collect(),
            rows: Vec::new(),
        };
        for (header, before) in table.rivals() {
            tracing::warn!(
                table = %path.display(),
                "the column `{header}` is passed over, since the column `{before}` comes before it",
            );
        }
        for record in reader.records() {
            let record = record.map_err(wrong)?;
            let line = text.line(record.position()).unwrap_or(0);
            table.add(line, record.iter().map(str::to_owned).collect())?;
        }
        Ok(table)
    }

    fn add(&mut self, line: u64, mut cells: Vec<String>) -> Result<()> {
        let is_empty = |cell: &String| cell.trim().is_empty();
        if cells.iter().all(is_empty) {
            return Ok(());
        }
        let columns = self.headers.len();
        let is_named = |header: &String| !is_empty(header);
        let named = self
            .headers
            .iter()
            .rposition(is_named)
            .map_or(0, |at| at + 1);
        let fits = cells.len() >= named && cells.iter().skip(columns).all(is_empty);
        if !fits {
            let reason = format!(
                "line {line} has {} cells, but the header has {columns}",
                cells.len()
            );
            return Err(self.error(reason));
        }
        cells.resize(columns, String::new());
        self.rows.push(CsvRow { line, cells });
        Ok(())
    }

    /// The columns that are passed over, each with the one before it that has the same name or another
    /// name for the same.
    fn rivals(&self) -> Vec<(&str, &str)> {
        let meaning = |header: &str| {
            let name = header.to_ascii_lowercase();
            let same = [Self::IMAGE, Self::CLASS];
            let same = same.iter().find(|names| names.contains(&name.as_str()));
            same.map_or(name, |names| names[0].to_owned())
        };
        let mut first = HashMap::new();
        let headers = self.headers.iter().map(|header| header.trim());
        let named = headers.filter(|header| !header.is_empty());
        let rival = |header| match first.entry(meaning(header)) {
            Entry::Occupied(before) => Some((header, *before.get())),
            Entry::Vacant(place) => {
                place.insert(header);
                None
            }
        };
        named.filter_map(rival).collect()
    }

    /// The names of the columns.
    pub fn headers(&self) -> &[String] {
        &self.headers
    }

    /// The rows that are not empty.
    pub fn rows(&self) -> &[CsvRow] {
        &self.rows
    }

    /// The byte between cells.
    pub fn separator(&self) -> u8 {
        self.separator
    }

    /// The first column that has one of these names.
    pub fn column(&self, names: &[&str]) -> Option<usize> {
        let is_named = |header: &str, name: &&str| header.trim().eq_ignore_ascii_case(name);
        let mut headers = self.headers.iter();
        headers.position(|header| names.iter().any(|name| is_named(header, name)))
    }

    /// As [`column`](Self::column), where there has to be one.
    ///
    /// # Errors
    /// If there is none; the message lists the columns that there are.
    pub fn required(&self, names: &[&str]) -> Result<usize> {
        self.column(names).ok_or_else(|| {
            let there_are = match self.headers.join(", ") {
                headers if headers.is_empty() => "none".to_owned(),
                headers => headers,
            };
            let names = names.join("` or `");
            self.error(format!("no column `{names}`; there are {there_are}"))
        })
    }

    /// What to say of a table whose column of classes is empty in all rows, of which there may be none.
    pub fn no_classes(&self, column: usize) -> String {
        let (class, rows) = (self.headers[column].trim(), self.rows.len());
        if rows == 0 {
            return "no image has a class: the table has no rows".into();
        }
        format!("no image has a class: the column `{class}` is empty in all of the {rows} rows")
    }

    /// The number in a column of a row, `None` if its cell is empty. Where cells are parted by
    /// something else than commas, it may have a decimal comma ([`NumberParser`]).
    ///
    /// # Errors
    /// A cell that is no number, with its line and column.
    pub fn number(&self, row: &CsvRow, column: usize) -> Result<Option<f64>> {
        let cell = row.cell(column);
        if cell.is_empty() {
            return Ok(None);
        }
        let number = self.numbers.parse(cell);
        let number = number.map_err(|expected| self.cell_error(row, column, expected))?;
        Ok(Some(number))
    }

    /// That a cell is not what was expected.
    pub(crate) fn cell_error(&self, row: &CsvRow, column: usize, expected: impl Display) -> Error {
        let header = self.headers.get(column).map_or("", |header| header.trim());
        let (line, cell) = (row.line, row.cell(column));
        self.error(format!("line {line}: {header} is {cell}; {expected}"))
    }

    /// The rows by image, with the columns [`IMAGE`](Self::IMAGE) and [`CLASS`](Self::CLASS). Of
    /// rows that repeat an image and its class the first counts; a warning says so.
    ///
    /// # Errors
    /// If there is no column of images, a row names none, two rows name an image in different Unicode
    /// forms, or an image has two classes, or one in one row and none in another.
    pub fn images(&self) -> Result<Vec<ImageRow<'_>>> {
        let (image, class) = (self.required(&Self::IMAGE)?, self.column(&Self::CLASS));
        let mut found: Vec<ImageRow> = Vec::with_capacity(self.rows.len());
        let mut places: HashMap<String, usize> = HashMap::new();
        for row in &self.rows {
            let path = image_path(row.cell(image));
            if path.is_empty() {
                return Err(self.error(format!("line {} names no image", row.line)));
            }
            let class = class.map(|column| row.cell(column));
            let new = ImageRow {
                row,
                class: class.filter(|class| !class.is_empty()),
                image: path,
                repeats: Vec::new(),
            };
            match places.entry(key(&new.image)) {
                Entry::Vacant(place) => {
                    place.insert(found.len());
                    found.push(new);
                }
                Entry::Occupied(place) => {
                    let before = &mut found[*place.get()];
                    self.check_repeated(before, &new)?;
                    before.repeats.push(row);
                }
            }
        }
        let lines = |first: &ImageRow<'_>| {
            let before = first.row.line;
            let repeats = first.repeats.iter();
            repeats.map(|row| (row.line, before)).collect::<Vec<_>>()
        };
        let repeated = || found.iter().flat_map(lines);
        if let Some((line, before)) = repeated().min() {
            tracing::warn!(
                table = %self.path.display(),
                "{} rows repeat the image and the class of another row and are passed over (line \
                 {line} those of line {before})",
                repeated().count(),
            );
        }
        Ok(found)
    }

    /// Fails unless two rows about one image agree.
    fn check_repeated(&self, first: &ImageRow, second: &ImageRow) -> Result<()> {
        let (one, other) = (
            without_detours(&first.image),
            without_detours(&second.image),
        );
        if one != other {
            let lines = format!("lines {} and {}", first.row.line, second.row.line);
            return Err(self.error(format!("{lines}: {}", describe_forms(&one, &other))));
        }
        if first.class == second.class {
            return Ok(());
        }
        let class = |row: &ImageRow| {
            let class = row.class.map_or_else(
                || "no class".to_owned(),
                |class| format!("the class {class}"),
            );
            format!("{class} in line {}", row.row.line)
        };
        let (image, one, other) = (&first.image, class(first), class(second));
        Err(self.error(format!("{image} has {one} and {other}")))
    }

    pub(crate) fn error(&self, reason: impl Into<String>) -> Error {
        Error::unreadable(self.path.display(), reason)
    }
}

/// An image's path as all tables are taken to have it: with `/`, as Windows reads it too, and without
/// steps to the same folder (`./a.png` is `a.png`).
///
/// ```
/// assert_eq!(simclr_data::image_path(r".\soupy\a.png"), "soupy/a.png");
/// ```
pub fn image_path(text: &str) -> String {
    let text = text.replace('\\', "/");
    // Two slashes at the beginning are those of a machine's name.
    let slashes = text.len() - text.trim_start_matches('/').len();
    let root = "/".repeat(slashes.min(2));
    let steps = text.split('/');
    let steps: Vec<&str> = steps.filter(|step| !matches!(*step, "" | ".")).collect();
    format!("{root}{}", steps.join("/"))
}

/// By what images are found again.
fn key(path: &str) -> String {
    normalized_name(&without_detours(path)).into_owned()
}

/// A path by which images are told apart: without the steps into a folder and out of it again.
fn without_detours(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        if step == ".." && steps.last().is_some_and(|last| !matches!(*last, ".." | "")) {
            steps.pop();
        } else {
            steps.push(step);
        }
    }
    steps.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_are_passed_over_are_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels.csv");
        for (header, expected) in [
            ("image,class,depth_m,,", vec![]),
            ("tile,Label,class", vec![("class", "Label")]),
            (
                "image,depth_m, Depth_M ,depth_m,tile",
                vec![
                    ("Depth_M", "depth_m"),
                    ("depth_m", "depth_m"),
                    ("tile", "image"),
                ],
            ),
        ] {
            std::fs::write(&path, header).unwrap();
            assert_eq!(CsvTable::read(&path).unwrap().rivals(), expected);
        }
    }
}
