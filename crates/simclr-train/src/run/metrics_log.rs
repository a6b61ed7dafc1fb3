//! `metrics.csv`: written row by row, cut when a run goes on from a checkpoint.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use simclr_files::write_bytes;

use super::metrics_table::STEP;
use crate::error::{Error, Result};

/// A CSV file of figures, one row per logged step.
///
/// The first column is `step`, the number of optimizer steps done when the row
/// was written; the others are fixed when the log is opened. Cells may be
/// empty, as evaluation figures are in most rows.
///
/// Each row goes to the file in one write. A run that goes on after step *n*
/// opens the log with `Some(n)`, which cuts the rows that the interrupted
/// process wrote past its last checkpoint: in the end the file is, byte for
/// byte, that of a run that never stopped. For this a step's row must be
/// written, and [`sync`](Self::sync)ed, before its checkpoint.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    columns: Vec<String>,
    file: File,
    last_step: Option<u64>,
}

impl MetricsLog {
    /// Opens the log `path` with the columns `step` and `columns`: empty for a
    /// run that begins (`None`, or step 0), or with the rows up to and
    /// including step `after`.
    ///
    /// # Errors
    /// [`Error::RunFile`] if the rows of step `after` and before should be
    /// there, but the file is missing, has other columns or is no metrics
    /// file; [`Error::MetricsRow`] if a column's name is given twice;
    /// [`Error::File`].
    pub fn open(path: impl Into<PathBuf>, columns: &[&str], after: Option<u64>) -> Result<Self> {
        let path = path.into();
        let columns = with_step_column(&path, columns)?;
        let (kept, last_step) = match after {
            None | Some(0) => (encode(&path, &columns)?, None),
            Some(step) => rows_through(&path, &columns, step)?,
        };
        write_bytes(&path, &kept)?;
        let file = File::options()
            .append(true)
            .open(&path)
            .map_err(Error::io(&path))?;
        Ok(Self {
            path,
            columns,
            file,
            last_step,
        })
    }

    /// Writes the row of `step`; columns that `values` does not name stay
    /// empty.
    ///
    /// # Errors
    /// [`Error::MetricsRow`] if `step` is not above the last one or a value
    /// names no column; [`Error::File`].
    pub fn append(&mut self, step: u64, values: &[(&str, f64)]) -> Result<()> {
        if let Some(last) = self.last_step.filter(|last| step <= *last) {
            return Err(self.row_error(format!("row for step {step} after one for step {last}")));
        }
        let mut cells = vec![String::new(); self.columns.len()];
        let named = [(STEP, step.to_string())].into_iter().chain(
            values
                .iter()
                .map(|(column, value)| (*column, value.to_string())),
        );
        for (column, text) in named {
            let position = self.columns.iter().position(|known| known == column);
            match position.and_then(|position| cells.get_mut(position)) {
                Some(cell) if cell.is_empty() => *cell = text,
                Some(_) => return Err(self.row_error(format!("two values for `{column}`"))),
                None => {
                    let known = self.columns.join(", ");
                    return Err(self.row_error(format!("no column `{column}`, there are {known}")));
                }
            }
        }
        let row = encode(&self.path, &cells)?;
        self.file.write_all(&row).map_err(Error::io(&self.path))?;
        self.last_step = Some(step);
        Ok(())
    }

    /// Makes sure that the rows written so far are on the disk.
    ///
    /// # Errors
    /// [`Error::File`] if the operating system says that they are not.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io(&self.path))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn row_error(&self, reason: String) -> Error {
        Error::MetricsRow {
            path: self.path.clone(),
            reason,
        }
    }
}

fn with_step_column(path: &Path, columns: &[&str]) -> Result<Vec<String>> {
    let mut all = vec![STEP.to_owned()];
    for column in columns {
        if all.iter().any(|known| known == column) {
            return Err(Error::MetricsRow {
                path: path.to_owned(),
                reason: format!("two columns are called `{column}`"),
            });
        }
        all.push((*column).to_owned());
    }
    Ok(all)
}

/// One CSV record with its line end.
fn encode(path: &Path, cells: &[String]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let bytes = writer
        .write_record(cells)
        .map_err(std::io::Error::from)
        .and_then(|()| writer.into_inner().map_err(|error| error.into_error()));
    bytes.map_err(Error::io(path))
}

/// The head of the file up to the row of step `last`, and the last step in it.
fn rows_through(path: &Path, columns: &[String], last: u64) -> Result<(Vec<u8>, Option<u64>)> {
    let wrong = |reason: String| Error::RunFile {
        path: path.to_owned(),
        reason,
    };
    let mut content = match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(wrong(format!(
                "missing, but the run goes on after step {last}"
            )));
        }
        content => content.map_err(Error::io(path))?,
    };
    // A killed process may have written the beginning of a row.
    let complete = content.iter().rposition(|byte| *byte == b'\n');
    content.truncate(complete.map_or(0, |position| position + 1));

    let mut reader = csv::Reader::from_reader(content.as_slice());
    let header = reader.headers().map_err(|error| wrong(error.to_string()))?;
    if header != columns {
        let found: Vec<_> = header.iter().collect();
        let (found, expected) = (found.join(", "), columns.join(", "));
        return Err(wrong(format!("has columns {found}; expected {expected}")));
    }
    let mut last_step = None;
    let mut keep = content.len();
    for record in reader.records() {
        let record = record.map_err(|error| wrong(error.to_string()))?;
        let start = record.position().map_or(0, csv::Position::byte) as usize;
        let cell = record.get(0).unwrap_or_default();
        let step: u64 = cell
            .parse()
            .map_err(|_| wrong(format!("`{cell}` is no step number (byte {start})")))?;
        if step > last {
            keep = start;
            break;
        }
        last_step = Some(step);
    }
    content.truncate(keep);
    Ok((content, last_step))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [&str; 3] = ["epoch", "loss", "top 1, %"];

    fn write_steps(log: &mut MetricsLog, steps: std::ops::RangeInclusive<u64>) {
        for step in steps {
            let mut row = vec![("loss", 1.0 / step as f64), ("epoch", (step / 10) as f64)];
            if step % 10 == 0 {
                row.push(("top 1, %", 33.5));
            }
            log.append(step, &row).unwrap();
        }
    }

    #[test]
    fn a_resumed_file_equals_an_uninterrupted_one() {
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join("whole.csv");
        write_steps(
            &mut MetricsLog::open(&whole, &COLUMNS, None).unwrap(),
            1..=40,
        );
        let whole = fs::read(whole).unwrap();

        let path = dir.path().join("resumed.csv");
        write_steps(
            &mut MetricsLog::open(&path, &COLUMNS, None).unwrap(),
            1..=27,
        );
        // The process was killed in the middle of row 28, after checkpoint 20.
        let mut torn = File::options().append(true).open(&path).unwrap();
        torn.write_all(b"28,2,0.03").unwrap();
        write_steps(
            &mut MetricsLog::open(&path, &COLUMNS, Some(20)).unwrap(),
            21..=40,
        );
        let resumed = fs::read(path).unwrap();
        assert_eq!(
            String::from_utf8(resumed).unwrap(),
            String::from_utf8(whole).unwrap()
        );
    }

    #[test]
    fn the_file_reads_as_expected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let mut log = MetricsLog::open(&path, &COLUMNS, None).unwrap();
        log.append(5, &[("loss", 0.1)]).unwrap();
        log.append(10, &[("top 1, %", 50.0), ("epoch", 1.0)])
            .unwrap();
        log.sync().unwrap();
        assert_eq!(
            fs::read_to_string(log.path()).unwrap(),
            "step,epoch,loss,\"top 1, %\"\n5,,0.1,\n10,1,,50\n"
        );
    }

    #[test]
    fn starting_again_forgets_the_rows_of_an_unusable_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        write_steps(&mut MetricsLog::open(&path, &COLUMNS, None).unwrap(), 1..=3);
        for beginning in [None, Some(0)] {
            write_steps(
                &mut MetricsLog::open(&path, &COLUMNS, beginning).unwrap(),
                1..=3,
            );
            MetricsLog::open(&path, &COLUMNS, beginning).unwrap();
            assert_eq!(
                fs::read_to_string(&path).unwrap(),
                "step,epoch,loss,\"top 1, %\"\n"
            );
        }
    }

    #[test]
    fn rows_that_do_not_fit_are_refused_by_name_and_leave_no_trace() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let mut log = MetricsLog::open(&path, &COLUMNS, None).unwrap();
        write_steps(&mut log, 1..=2);
        let before = fs::read(&path).unwrap();
        for (step, values, message) in [
            (
                2,
                vec![("loss", 0.0)],
                "row for step 2 after one for step 2",
            ),
            (3, vec![("lost", 0.0)], "no column `lost`"),
            (
                3,
                vec![("loss", 0.0), ("loss", 1.0)],
                "two values for `loss`",
            ),
            (3, vec![("step", 4.0)], "two values for `step`"),
        ] {
            let error = log.append(step, &values).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        assert_eq!(fs::read(&path).unwrap(), before);
        let error = MetricsLog::open(&path, &["a", "a"], None).unwrap_err();
        assert!(error.to_string().contains("two columns are called `a`"));
    }

    #[test]
    fn resuming_needs_the_same_columns_and_a_whole_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let missing = MetricsLog::open(&path, &COLUMNS, Some(1)).unwrap_err();
        assert!(
            missing
                .to_string()
                .contains("missing, but the run goes on after step 1"),
            "{missing}"
        );
        write_steps(&mut MetricsLog::open(&path, &COLUMNS, None).unwrap(), 1..=3);
        let other = MetricsLog::open(&path, &["epoch", "loss"], Some(1)).unwrap_err();
        assert!(
            other.to_string().contains("expected step, epoch, loss"),
            "{other}"
        );
        fs::write(&path, "step,epoch,loss,\"top 1, %\"\none,,,\n").unwrap();
        let garbled = MetricsLog::open(&path, &COLUMNS, Some(1)).unwrap_err();
        assert!(
            garbled.to_string().contains("`one` is no step number"),
            "{garbled}"
        );
    }
}
