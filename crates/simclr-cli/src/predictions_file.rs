//! The table of `simclr predict`, which is written as predictions come in.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Value, json};
use simclr_classifier::Prediction;
use simclr_files::{Digest, read_json, replace_atomically, write_json};

use crate::outputs::{beside, open_alone};
#[cfg(feature = "parquet")]
use crate::parquet_file::ParquetFile;
use crate::terminal::{AnyResult, complain};

/// The form of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table with a column per class.
    Csv,
    /// A JSON object a line.
    Jsonl,
    /// A Parquet file with the columns of the CSV.
    #[cfg(feature = "parquet")]
    Parquet,
}

/// How many images of each kind there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) images: usize,
    pub(crate) novel: usize,
    pub(crate) undecided: usize,
}

impl Counts {
    fn add(&mut self, row: &Value) {
        self.images += 1;
        self.novel += usize::from(row["novel"] == json!(true));
        self.undecided += usize::from(row["class"].is_null());
    }
}

/// A table under construction: rows are appended to a file beside its place, from which the table is
/// made when they are complete. What an interrupted command of the same identity has left is gone on
/// with.
///
/// A line of that file is a row as JSON behind a digest of it and of all lines before, so that what
/// was changed in between is not taken for a prediction.
#[derive(Debug)]
pub(crate) struct PredictionsFile<'a> {
    path: PathBuf,
    part: PathBuf,
    identity_file: PathBuf,
    identity: Value,
    format: Format,
    classes: &'a [String],
    counts: Counts,
    digest: String,
    output: BufWriter<File>,
}

impl<'a> PredictionsFile<'a> {
    /// Opens the table at `path` for rows of these classes, which are made `batch` at a time. Of an
    /// interrupted batch the rest would be another batch, which is rounded otherwise: it begins anew.
    pub(crate) fn open(
        path: &Path,
        format: Format,
        classes: &'a [String],
        identity: &Value,
        batch: usize,
    ) -> AnyResult<Self> {
        let (part, identity_file) = (beside(path, ".part"), beside(path, ".part.json"));
        let identity = json!({"identity": identity, "format": format!("{format:?}")});
        let mut file = open_alone(&part)?;
        // A damaged one is as good as none.
        let goes_on =
            read_json(&identity_file).is_ok_and(|found| found.as_ref() == Some(&identity));
        let mut done = Done::none(&identity);
        if goes_on {
            done.read(&part, usize::MAX, |_| Ok(()))?;
            let rest = done.counts.images % batch;
            if rest > 0 {
                let whole = done.counts.images - rest;
                done = Done::none(&identity);
                done.read(&part, whole, |_| Ok(()))?;
            }
        }
        file.set_len(done.length)?;
        file.seek(SeekFrom::End(0))?;
        write_json(&identity_file, &identity)?;
        if done.counts.images > 0 {
            complain(format_args!("going on after {} images", done.counts.images));
        }
        Ok(Self {
            path: path.to_owned(),
            part,
            identity_file,
            identity,
            format,
            classes,
            counts: done.counts,
            digest: done.digest,
            output: BufWriter::new(file),
        })
    }

    /// The rows so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Appends a row.
    pub(crate) fn write(
        &mut self,
        image: &str,
        class: Option<usize>,
        prediction: &Prediction,
    ) -> AnyResult {
        let classes = self.classes;
        let name = |class: usize| classes.get(class).map_or("", String::as_str);
        let shares = classes.iter().cloned().zip(&prediction.probabilities);
        let shares: serde_json::Map<_, _> =
            shares.map(|(class, share)| (class, json!(share))).collect();
        self.append(&json!({
            "image": image,
            "class": class.map(name),
            "confidence": prediction.confidence,
            "second": name(prediction.second),
            "novelty": prediction.novelty,
            "novel": prediction.is_novel,
            "probabilities": shares,
        }))
    }

    fn append(&mut self, row: &Value) -> AnyResult {
        let text = row.to_string();
        self.digest = chained(&self.digest, &text);
        writeln!(self.output, "{} {text}", self.digest)?;
        self.counts.add(row);
        Ok(())
    }

    /// Makes the table of the rows, in its place.
    pub(crate) fn finish(mut self) -> AnyResult<Counts> {
        self.output.flush()?;
        replace_atomically(&self.path, |temporary| self.write_table(temporary))?;
        fs::remove_file(&self.part)?;
        fs::remove_file(&self.identity_file)?;
        Ok(self.counts)
    }

    fn write_table(&self, path: &Path) -> AnyResult {
        let mut done = Done::none(&self.identity);
        let file = BufWriter::new(File::create(path)?);
        match self.format {
            Format::Csv => {
                let mut table = csv::Writer::from_writer(file);
                let fixed = ["image", "class", "confidence", "second", "novelty", "novel"];
                let shares = self.classes.iter().map(|class| format!("p_{class}"));
                let fixed = fixed.map(str::to_owned).into_iter();
                table.write_record(fixed.chain(shares))?;
                done.read(&self.part, usize::MAX, |row| {
                    Ok(table.write_record(self.cells(&serde_json::from_str(row)?))?)
                })?;
                table.flush()?;
            }
            Format::Jsonl => {
                let mut file = file;
                done.read(&self.part, usize::MAX, |row| Ok(writeln!(file, "{row}")?))?;
                file.flush()?;
            }
            #[cfg(feature = "parquet")]
            Format::Parquet => {
                let mut table = ParquetFile::new(self.classes, file)?;
                done.read(&self.part, usize::MAX, |row| {
                    table.write(serde_json::from_str(row)?)
                })?;
                table.finish()?;
            }
        }
        if done.counts == self.counts {
            return Ok(());
        }
        let reason = "was changed by somebody else; the same command makes the table again";
        Err(format!("{}: {reason}", self.part.display()).into())
    }

    /// A row of the CSV.
    fn cells(&self, row: &Value) -> Vec<String> {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let number = |value: &Value| format!("{:.6}", value.as_f64().unwrap_or(f64::NAN));
        let fixed = [
            text("image"),
            text("class"),
            number(&row["confidence"]),
            text("second"),
            number(&row["novelty"]),
            (row["novel"] == json!(true)).to_string(),
        ];
        let shares = self.classes.iter();
        let shares = shares.map(|class| number(&row["probabilities"][class]));
        fixed.into_iter().chain(shares).collect()
    }
}

/// The digest of a row and of all before it, whose digest is given.
fn chained(before: &str, row: &str) -> String {
    let mut digits = Digest::of(format!("{before}{row}").as_bytes()).to_hex();
    digits.truncate(16);
    digits
}

/// The whole rows of a table that was not finished.
struct Done {
    counts: Counts,
    /// Bytes that they take.
    length: u64,
    digest: String,
}

impl Done {
    fn none(identity: &Value) -> Self {
        Self {
            counts: Counts::default(),
            length: 0,
            digest: chained("", &identity.to_string()),
        }
    }

    /// Reads at most so many rows, up to the first one that is damaged or has no end.
    fn read(
        &mut self,
        part: &Path,
        most: usize,
        mut each: impl FnMut(&str) -> AnyResult,
    ) -> AnyResult {
        let mut reader = BufReader::new(File::open(part)?);
        let mut line = Vec::new();
        while self.counts.images < most && reader.read_until(b'\n', &mut line)? > 0 {
            let Some((digest, row)) = self.row_of(&line) else {
                break;
            };
            self.counts.add(&serde_json::from_str(row)?);
            self.length += line.len() as u64;
            each(row)?;
            self.digest = digest;
            line.clear();
        }
        Ok(())
    }

    /// The row of a line and its digest, if they are those that were written.
    fn row_of<'l>(&self, line: &'l [u8]) -> Option<(String, &'l str)> {
        let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
        let (digest, row) = line.split_once(' ')?;
        (digest == chained(&self.digest, row)).then(|| (digest.to_owned(), row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(image: &str, class: Option<&str>, confidence: f64) -> Value {
        json!({
            "image": image, "class": class, "confidence": confidence, "second": "b",
            "novelty": 0.25, "novel": false,
            "probabilities": {"a": confidence, "b": 1.0 - confidence},
        })
    }

    #[test]
    fn a_table_goes_on_after_its_last_row_that_is_whole_and_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.csv");
        let part = dir.path().join("p.csv.part");
        let classes = ["a".to_owned(), "b".to_owned()];
        let identity = json!("the same command");
        let open_by = |batch| PredictionsFile::open(&path, Format::Csv, &classes, &identity, batch);
        let open = || open_by(1).unwrap();
        let mut table = open();
        for (name, class) in [
            ("x.png", Some("a")),
            ("y,\n.png", None),
            ("z.png", Some("a")),
        ] {
            table.append(&row(name, class, 0.75)).unwrap();
        }
        assert!(open_by(1).is_err());
        drop(table);

        let whole = fs::read_to_string(&part).unwrap();
        let changed = whole.replacen("0.75", "0.85", 1);
        for (text, expected) in [
            (whole.as_str(), 3),
            (&whole[..whole.len() - 1], 2),
            (&whole[..whole.len() - 9], 2),
            (changed.as_str(), 0),
            ("", 0),
        ] {
            fs::write(&part, text).unwrap();
            assert_eq!(open().counts().images, expected, "{text}");
        }
        for (batch, expected) in [(2, 2), (3, 3), (4, 0)] {
            fs::write(&part, &whole).unwrap();
            assert_eq!(open_by(batch).unwrap().counts().images, expected);
            assert_eq!(fs::read_to_string(&part).unwrap().lines().count(), expected);
        }

        fs::write(&part, &whole[..whole.len() - 1]).unwrap();
        let mut table = open();
        table.append(&row("z.png", Some("a"), 0.5)).unwrap();
        let counts = table.finish().unwrap();
        assert_eq!((counts.images, counts.undecided), (3, 1));
        let expected = "image,class,confidence,second,novelty,novel,p_a,p_b\n\
                        x.png,a,0.750000,b,0.250000,false,0.750000,0.250000\n\
                        \"y,\n.png\",,0.750000,b,0.250000,false,0.750000,0.250000\n\
                        z.png,a,0.500000,b,0.250000,false,0.500000,0.500000\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
