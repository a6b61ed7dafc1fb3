//! Reading CSV files by the names of their columns.

use std::path::{Path, PathBuf};

use csv::StringRecord;

use super::columns::{ColumnMap, unit};
use crate::error::{Error, Result};

/// The values that well logs have where there is none.
const NULLS: [f64; 4] = [-999.25, -999.0, -9999.0, -9999.25];

/// A table that was read whole.
pub(super) struct Table {
    path: PathBuf,
    headers: Vec<String>,
    map: ColumnMap,
    records: Vec<StringRecord>,
}

impl Table {
    pub(super) fn read(path: &Path, map: &ColumnMap) -> Result<Self> {
        let text = std::fs::read(path).map_err(simclr_files::Error::io(path))?;
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        let first = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let count = |separator: &u8| first.iter().filter(|byte| *byte == separator).count();
        let separator = [b'\t', b';', b',']
            .into_iter()
            .max_by_key(count)
            .unwrap_or(b',');
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .trim(csv::Trim::All)
            .from_reader(text);
        let failed = Error::csv(path);
        let headers: Vec<String> = reader
            .headers()
            .map_err(&failed)?
            .iter()
            .map(str::to_owned)
            .collect();
        let records = reader
            .records()
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        if records.is_empty() {
            return Err(Error::table(path, None, "the table has no rows"));
        }
        if let Some(header) = map.missing(&headers) {
            let reason = format!("no column `{header}`; there are {}", headers.join(", "));
            return Err(Error::table(path, 1, reason));
        }
        Ok(Self {
            path: path.to_owned(),
            headers,
            map: map.clone(),
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
        let reason =
            format!("no column of {what}; there are {headers}; name it with {column}=HEADER");
        Err(Error::table(&self.path, 1, reason))
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.records.iter().map(|record| Row {
            table: self,
            record,
        })
    }
}

/// A row of a table.
pub(super) struct Row<'t> {
    table: &'t Table,
    record: &'t StringRecord,
}

impl Row<'_> {
    /// The line in the file.
    pub(super) fn line(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
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
        let number: f64 = text
            .parse()
            .map_err(|_| self.error(format!("`{header}` is {text}; expected a number")))?;
        if !number.is_finite() || NULLS.contains(&number) {
            return Err(self.error(format!(
                "`{header}` is {text}, which stands for a missing value; leave the row out"
            )));
        }
        Ok(Some(number * unit(header).unwrap_or(default)))
    }

    /// A number in metres that has to be there.
    pub(super) fn required(&self, column: &str, default: f64) -> Result<f64> {
        let value = self.metres(column, default)?;
        value.ok_or_else(|| self.error(format!("there is no value for `{column}`")))
    }

    /// IODP's name of the section without its half, such as `403-U1618A-1H-2`, or what stands in the
    /// column of names without its extension.
    pub(super) fn section(&self) -> Result<String> {
        let part = |column| self.text(column).unwrap_or_default();
        if self.text("core").is_some() && self.text("section").is_some() {
            let hole = format!("{}{}", part("site"), part("hole"));
            let core = format!("{}{}", part("core"), part("type"));
            let parts = [part("exp"), &hole, &core, part("section")];
            let parts = parts.into_iter().filter(|part| !part.is_empty());
            return Ok(parts.collect::<Vec<_>>().join("-"));
        }
        match self.text("name") {
            Some(name) => Ok(Path::new(name)
                .file_stem()
                .map_or(name.into(), |stem| stem.to_string_lossy())
                .into_owned()),
            None => {
                Err(self.error("the row names no section: neither core and section nor a name"))
            }
        }
    }
}
