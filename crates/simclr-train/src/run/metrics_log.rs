//! `metrics.csv`: written row by row, cut when a run goes on from a checkpoint.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use simclr_files::{Digest, write_bytes};

use super::metrics_table::STEP;
use crate::error::{Error, Result};

/// A CSV file of figures, one row per logged step.
///
/// The first column is `step`, the number of optimizer steps done when the row
/// was written; the others are fixed when the log is opened. Cells may be
/// empty, as evaluation figures are in most rows.
///
/// Each row goes to the file in one write. A checkpoint keeps the log's
/// [`position`](Self::position), and a run that goes on from it opens the log
/// there, which cuts the rows that the interrupted process wrote past it: in
/// the end the file is, byte for byte, that of a run that never stopped. For
/// this a step's row must be written, and [`sync`](Self::sync)ed, before its
/// checkpoint.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    columns: Vec<String>,
    file: File,
    last_step: Option<u64>,
    digest: Digest,
}

/// How far a [`MetricsLog`] has been written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsPosition {
    /// The step of the last row; 0 before the first.
    pub step: u64,
    /// The SHA-256 of the file up to and including that row; checkpoints of earlier versions do
    /// not know it.
    #[serde(default)]
    pub sha256: Option<String>,
}

impl MetricsLog {
    /// Opens the log `path` with the columns `step` and `columns`: empty for a
    /// run that begins (`None`, or step 0), or with the rows up to a position.
    ///
    /// # Errors
    /// As [`check`](Self::check); [`Error::MetricsRow`] if a column's name is given twice.
    pub fn open(
        path: impl Into<PathBuf>,
        columns: &[&str],
        position: Option<&MetricsPosition>,
    ) -> Result<Self> {
        let path = path.into();
        let columns = with_step_column(&path, columns)?;
        let position = position.filter(|position| position.step > 0);
        let kept = match position {
            None => encode(&path, &columns)?,
            Some(position) => rows_through(&path, &columns, position)?,
        };
        write_bytes(&path, &kept)?;
        let file = File::options()
            .append(true)
            .open(&path)
            .map_err(Error::io(&path))?;
        let digest = Digest::of(&kept);
        Ok(Self {
            path,
            columns,
            file,
            last_step: position.map(|position| position.step),
            digest,
        })
    }

    /// Whether the log `path` can be opened at a position; changes nothing.
    ///
    /// # Errors
    /// [`Error::RunFile`] if the rows up to there should be there, but the file is missing, ends
    /// before, has other columns, or holds other rows than were written; [`Error::File`].
    pub fn check(path: &Path, columns: &[&str], position: &MetricsPosition) -> Result<()> {
        rows_through(path, &with_step_column(path, columns)?, position).map(|_| ())
    }

    /// How far the log has been written.
    pub fn position(&self) -> MetricsPosition {
        MetricsPosition {
            step: self.last_step.unwrap_or(0),
            sha256: Some(self.digest.to_hex()),
        }
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
        self.digest.update(&row);
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

/// The head of the file up to a position.
fn rows_through(path: &Path, columns: &[String], position: &MetricsPosition) -> Result<Vec<u8>> {
    let last = position.step;
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
    if last_step != Some(last) {
        let end = last_step.unwrap_or(0);
        return Err(wrong(format!(
            "ends after step {end}; expected the row of step {last}"
        )));
    }
    let computed = Digest::of(&content).to_hex();
    if position
        .sha256
        .as_ref()
        .is_some_and(|stored| *stored != computed)
    {
        let reason = format!("the rows up to step {last} are not those that the run wrote");
        return Err(wrong(reason));
    }
    Ok(content)
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
        let mut log = MetricsLog::open(&path, &COLUMNS, None).unwrap();
        write_steps(&mut log, 1..=20);
        let position = log.position();
        write_steps(&mut log, 21..=27);
        // The process was killed in the middle of row 28, after checkpoint 20.
        let mut torn = File::options().append(true).open(&path).unwrap();
        torn.write_all(b"28,2,0.03").unwrap();
        write_steps(
            &mut MetricsLog::open(&path, &COLUMNS, Some(&position)).unwrap(),
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
        let empty = MetricsPosition {
            step: 0,
            sha256: None,
        };
        for beginning in [None, Some(&empty)] {
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
    fn resuming_needs_the_same_columns_and_the_rows_that_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let mut log = MetricsLog::open(&path, &COLUMNS, None).unwrap();
        write_steps(&mut log, 1..=3);
        let position = log.position();
        let earlier = MetricsPosition {
            sha256: None,
            ..position.clone()
        };
        let good = fs::read_to_string(&path).unwrap();
        let refused = |columns: &[&str], content: Option<&str>, position: &MetricsPosition| {
            match content {
                Some(content) => fs::write(&path, content).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let error = MetricsLog::open(&path, columns, Some(position)).unwrap_err();
            let check = MetricsLog::check(&path, columns, position).unwrap_err();
            assert_eq!(error.to_string(), check.to_string());
            assert_eq!(fs::read_to_string(&path).ok().as_deref(), content);
            error.to_string()
        };
        let error = refused(&COLUMNS, None, &position);
        assert!(
            error.contains("missing, but the run goes on after step 3"),
            "{error}"
        );
        let error = refused(&["epoch", "loss"], Some(&good), &position);
        assert!(error.contains("expected step, epoch, loss"), "{error}");
        let (torn, _) = good.trim_end().rsplit_once('\n').unwrap();
        for position in [&position, &earlier] {
            let error = refused(&COLUMNS, Some(&format!("{torn}\n3,0")), position);
            assert!(
                error.contains("ends after step 2; expected the row of step 3"),
                "{error}"
            );
        }
        let changed = good.replace("0.5", "0.4");
        let error = refused(&COLUMNS, Some(&changed), &position);
        assert!(error.contains("not those that the run wrote"), "{error}");
        fs::write(&path, changed).unwrap();
        MetricsLog::open(&path, &COLUMNS, Some(&earlier)).unwrap();
        let garbled = "step,epoch,loss,\"top 1, %\"\none,,,\n";
        let error = refused(&COLUMNS, Some(garbled), &position);
        assert!(error.contains("`one` is no step number"), "{error}");
    }
}
