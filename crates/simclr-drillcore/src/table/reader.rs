//! Reading CSV files by the names of their columns.

use std::path::{Path, PathBuf};

use csv::StringRecord;
use simclr_csv::NumberParser;

use super::columns::{ColumnMap, unit};
use super::names::stem;
use super::text::{TableText, unequal};
use crate::error::{Error, Result};

/// The values that well logs have where there is none.
const NULLS: [f64; 4] = [-999.25, -999.0, -9999.0, -9999.25];

/// A table that was read whole.
pub(super) struct Table {
    path: PathBuf,
    headers: Vec<String>,
    /// The line of the headers.
    header_line: Option<u64>,
    map: ColumnMap,
    numbers: NumberParser,
    /// The rows that are not empty, with their lines.
    records: Vec<(u64, StringRecord)>,
}

impl Table {
    pub(super) fn read(path: &Path, map: &ColumnMap) -> Result<Self> {
        let text = TableText::read(path)?;
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(text.separator())
            .trim(csv::Trim::All)
            .flexible(true)
            .from_reader(text.body());
        let failed = |error| text.failed(error);
        let found = reader.headers().map_err(failed)?;
        let headers: Vec<String> = found.iter().map(str::to_owned).collect();
        let header_line = text.line(found.position());
        let mut records = Vec::new();
        for record in reader.records() {
            let record = record.map_err(failed)?;
            let line = text.line(record.position()).unwrap_or(0);
            check_cells(&record, &headers).map_err(|reason| Error::table(path, line, reason))?;
            if record.iter().any(|cell| !cell.is_empty()) {
                records.push((line, record));
            }
        }
        if records.is_empty() {
            return Err(Error::table(path, None, "the table has no rows"));
        }
        Ok(Self {
            path: path.to_owned(),
            headers,
            header_line,
            map: map.clone(),
            numbers: text.numbers(),
            records,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn has(&self, column: &str) -> bool {
        self.map.find(column, &self.headers).is_some()
    }

    /// That there is such a column.
    pub(super) fn require(&self, column: &str, what: &str) -> Result<()> {
        if self.has(column) {
            return Ok(());
        }
        let headers = self.headers.join(", ");
        let reason = format!(
            "no column of {what}; there are {headers}; name it with --column {column}=HEADER"
        );
        Err(Error::table(&self.path, self.header_line, reason))
    }

    /// The headers of columns that are none of those that tables may have.
    pub(super) fn unused(&self) -> Vec<&str> {
        self.map.unused(&self.headers)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.records.iter().map(|(line, record)| Row {
            table: self,
            line: *line,
            record,
        })
    }
}

/// That each header that the map names is in one of the tables: they may differ in their headers.
pub(super) fn check_named(map: &ColumnMap, tables: &[&Table]) -> Result<()> {
    let is_missing = |header: &&str| {
        let is_it = |other: &String| other == header;
        tables.iter().all(|table| !table.headers.iter().any(is_it))
    };
    let (Some(header), Some((first, others))) =
        (map.named().find(is_missing), tables.split_first())
    else {
        return Ok(());
    };
    let mut reason = format!(
        "no column `{header}`; there are {}",
        first.headers.join(", ")
    );
    for other in others {
        let (path, headers) = (other.path.display(), other.headers.join(", "));
        reason += &format!("; nor is it in {path}, where there are {headers}");
    }
    Err(Error::table(&first.path, first.header_line, reason))
}

/// That a row has the header's cells. Programs for tables leave empty ones out at the end of a row, or
/// add some.
fn check_cells(record: &StringRecord, headers: &[String]) -> Result<(), String> {
    let more = record.iter().skip(headers.len());
    let lacking = headers.iter().skip(record.len());
    let mut beyond = more.chain(lacking.map(String::as_str));
    if beyond.all(str::is_empty) {
        return Ok(());
    }
    Err(unequal(record.len(), headers.len()))
}

/// A row of a table.
pub(super) struct Row<'t> {
    table: &'t Table,
    line: u64,
    record: &'t StringRecord,
}

impl Row<'_> {
    /// The line in the file.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    pub(super) fn error(&self, reason: impl Into<String>) -> Error {
        Error::table(&self.table.path, self.line(), reason)
    }

    /// What stands in a column; nothing if there is no such column or its cell is empty.
    pub(super) fn text(&self, column: &str) -> Option<&str> {
        let (place, _) = self.table.map.find(column, &self.table.headers)?;
        self.record.get(place).filter(|text| !text.is_empty())
    }

    /// A number in metres; `default` are the metres per unit if the header names none.
    pub(super) fn metres(&self, column: &str, default: f64) -> Result<Option<f64>> {
        let Some((place, header)) = self.table.map.find(column, &self.table.headers) else {
            return Ok(None);
        };
        let Some(text) = self.record.get(place).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let number = self.table.numbers.parse(text);
        let number =
            number.map_err(|expected| self.error(format!("`{header}` is {text}; {expected}")))?;
        if !number.is_finite() || NULLS.contains(&number) {
            return Err(self.error(format!(
                "`{header}` is {text}, which stands for a missing value; leave the row out"
            )));
        }
        let unit = unit(header).map_err(|reason| {
            let reason = format!("`{header}` {reason}");
            Error::table(&self.table.path, self.table.header_line, reason)
        })?;
        Ok(Some(number * unit.unwrap_or(default)))
    }

    /// A number in metres that has to be there.
    pub(super) fn required(&self, column: &str, default: f64) -> Result<f64> {
        let value = self.metres(column, default)?;
        value.ok_or_else(|| self.error(format!("there is no value for `{column}`")))
    }

    /// The hole, such as `403-U1618A`, if the table has columns for it.
    pub(super) fn hole(&self) -> Option<String> {
        let part = |column| self.text(column).unwrap_or_default();
        let hole = format!("{}{}", part("site"), part("hole"));
        Some(joined(&[part("exp"), &hole])).filter(|hole| !hole.is_empty())
    }

    /// IODP's name of the section without its half, such as `403-U1618A-1H-2`, or what stands in the
    /// column of names without its extension.
    pub(super) fn section(&self) -> Result<String> {
        if let (Some(core), Some(section)) = (self.text("core"), self.text("section")) {
            let core = format!("{core}{}", self.text("type").unwrap_or_default());
            let hole = self.hole().unwrap_or_default();
            return Ok(joined(&[&hole, &core, section]));
        }
        let name = self.text("name").map(|name| stem(name).to_owned());
        name.ok_or_else(|| {
            self.error("the row names no section: neither core and section nor a name")
        })
    }
}

/// The parts of a name that there are, with `-` between them.
fn joined(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts
        .iter()
        .copied()
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("-")
}
