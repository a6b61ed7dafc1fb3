//! Reading `metrics.csv` back, for curves.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The name of the first column.
pub(super) const STEP: &str = "step";

/// The content of a metrics file.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsTable {
    path: PathBuf,
    columns: Vec<String>,
    rows: Vec<Vec<Option<f64>>>,
}

impl MetricsTable {
    /// Reads the file that a [`MetricsLog`](super::MetricsLog) wrote.
    ///
    /// # Errors
    /// [`Error::RunFile`] if it is missing, is no CSV file or holds something
    /// that is not a number.
    pub fn read(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let wrong = |reason: String| Error::RunFile {
            path: path.clone(),
            reason,
        };
        let mut reader = csv::Reader::from_path(&path).map_err(|error| wrong(error.to_string()))?;
        let header = reader.headers().map_err(|error| wrong(error.to_string()))?;
        let columns = header.iter().map(str::to_owned).collect();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| wrong(error.to_string()))?;
            let row: Result<Vec<_>> = record
                .iter()
                .map(|cell| {
                    let number = (!cell.is_empty()).then(|| cell.parse()).transpose();
                    number.map_err(|_| wrong(format!("`{cell}` is not a number")))
                })
                .collect();
            rows.push(row?);
        }
        Ok(Self {
            path,
            columns,
            rows,
        })
    }

    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the columns, `step` first.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The rows; empty cells are `None`.
    pub fn rows(&self) -> &[Vec<Option<f64>>] {
        &self.rows
    }

    /// The points (step, value) of a column, without its empty cells.
    ///
    /// # Errors
    /// [`Error::RunFile`] if there is no such column.
    pub fn series(&self, column: &str) -> Result<Vec<(f64, f64)>> {
        self.points(STEP, column)
    }

    /// The points (x, y) of the rows in which neither cell is empty.
    ///
    /// # Errors
    /// [`Error::RunFile`] if there is no such column.
    pub fn points(&self, x: &str, y: &str) -> Result<Vec<(f64, f64)>> {
        let (x, y) = (self.position(x)?, self.position(y)?);
        let cell = |row: &[Option<f64>], column| row.get(column).copied().flatten();
        Ok(self
            .rows
            .iter()
            .filter_map(|row| Some((cell(row, x)?, cell(row, y)?)))
            .collect())
    }

    fn position(&self, column: &str) -> Result<usize> {
        let position = self.columns.iter().position(|known| known == column);
        position.ok_or_else(|| Error::RunFile {
            path: self.path.clone(),
            reason: format!(
                "no column `{column}`, there are {}",
                self.columns.join(", ")
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics_log::MetricsLog;
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let mut log = MetricsLog::open(&path, &["epoch", "loss", "f1"], None).unwrap();
        log.append(1, &[("epoch", 0.5), ("loss", 0.1 + 0.2)])
            .unwrap();
        log.append(2, &[("epoch", 1.0), ("loss", f64::NAN), ("f1", 1e-300)])
            .unwrap();
        let table = MetricsTable::read(&path).unwrap();
        assert_eq!(table.columns(), ["step", "epoch", "loss", "f1"]);
        assert_eq!(table.rows().len(), 2);
        let losses = table.series("loss").unwrap();
        assert_eq!(losses[0], (1.0, 0.1 + 0.2));
        assert!(losses[1].1.is_nan());
        assert_eq!(table.points("epoch", "f1").unwrap(), [(1.0, 1e-300)]);
        let error = table.series("accuracy").unwrap_err().to_string();
        assert!(
            error.contains("no column `accuracy`, there are step, epoch"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_file_and_a_word_among_numbers_are_reported_with_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let error = MetricsTable::read(&path).unwrap_err().to_string();
        assert!(error.contains("metrics.csv"), "{error}");
        std::fs::write(&path, "step,loss\n1,high\n").unwrap();
        let error = MetricsTable::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("metrics.csv: `high` is not a number"),
            "{error}"
        );
    }
}
