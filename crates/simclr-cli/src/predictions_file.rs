//! The table of `simclr predict`, which is written as predictions come in.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Value, json};
use simclr_classifier::Prediction;
#[cfg(feature = "parquet")]
use simclr_files::replace_atomically;
use simclr_files::{read_json, write_json};

#[cfg(feature = "parquet")]
use crate::parquet_file;
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
    fn add(&mut self, novel: bool, undecided: bool) {
        self.images += 1;
        self.novel += usize::from(novel);
        self.undecided += usize::from(undecided);
    }
}

/// A table under construction: rows are appended to a file beside its place, which is moved there
/// when it is complete. What an interrupted command of the same identity has left is gone on with.
#[derive(Debug)]
pub(crate) struct PredictionsFile<'a> {
    path: PathBuf,
    part: PathBuf,
    identity: PathBuf,
    format: Format,
    classes: &'a [String],
    counts: Counts,
    output: BufWriter<File>,
}

impl<'a> PredictionsFile<'a> {
    /// Opens the table at `path` for rows of these classes.
    pub(crate) fn open(
        path: &Path,
        format: Format,
        classes: &'a [String],
        identity: &Value,
    ) -> AnyResult<Self> {
        let beside = |ending: &str| {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(ending);
            path.with_file_name(name)
        };
        let (part, identity_path) = (beside(".part"), beside(".part.json"));
        let expected = json!({"identity": identity, "format": format!("{format:?}")});
        // A damaged one is as good as none.
        let goes_on = part.exists()
            && read_json(&identity_path).is_ok_and(|found| found.as_ref() == Some(&expected));
        let (counts, length) = if goes_on {
            rows(&part, format)?
        } else {
            (Counts::default(), 0)
        };
        let mut options = OpenOptions::new();
        let file = options.create(true).write(true).truncate(false).open(&part);
        let file = file.map_err(|error| format!("{}: {error}", part.display()))?;
        file.set_len(length)?;
        let mut output = BufWriter::new(file);
        std::io::Seek::seek(&mut output, std::io::SeekFrom::End(0))?;
        write_json(&identity_path, &expected)?;
        if counts.images > 0 {
            complain(format_args!("going on after {} images", counts.images));
        }
        let mut table = Self {
            path: path.to_owned(),
            part,
            identity: identity_path,
            format,
            classes,
            counts,
            output,
        };
        if length == 0 && format == Format::Csv {
            let fixed = ["image", "class", "confidence", "second", "novelty", "novel"];
            let shares = classes.iter().map(|class| format!("p_{class}"));
            let header: Vec<String> = fixed.map(str::to_owned).into_iter().chain(shares).collect();
            table.csv(&header)?;
        }
        Ok(table)
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
        let class = class.map(name);
        match self.format {
            Format::Csv => {
                let fixed = [
                    image.to_owned(),
                    class.unwrap_or_default().to_owned(),
                    format!("{:.6}", prediction.confidence),
                    name(prediction.second).to_owned(),
                    format!("{:.6}", prediction.novelty),
                    prediction.is_novel.to_string(),
                ];
                let shares = prediction.probabilities.iter();
                let shares = shares.map(|share| format!("{share:.6}"));
                self.csv(&fixed.into_iter().chain(shares).collect::<Vec<_>>())?;
            }
            // A Parquet file cannot be appended to: it is made of lines when they are complete.
            _ => {
                let shares = classes.iter().cloned().zip(&prediction.probabilities);
                let shares: serde_json::Map<_, _> =
                    shares.map(|(class, share)| (class, json!(share))).collect();
                let row = json!({
                    "image": image,
                    "class": class,
                    "confidence": prediction.confidence,
                    "second": name(prediction.second),
                    "novelty": prediction.novelty,
                    "novel": prediction.is_novel,
                    "probabilities": shares,
                });
                writeln!(self.output, "{row}")?;
            }
        }
        self.counts.add(prediction.is_novel, class.is_none());
        Ok(())
    }

    fn csv(&mut self, cells: &[String]) -> AnyResult {
        let mut writer = csv::Writer::from_writer(&mut self.output);
        writer.write_record(cells)?;
        Ok(writer.flush()?)
    }

    /// Moves the table to its place.
    pub(crate) fn finish(self) -> AnyResult<Counts> {
        let file = self
            .output
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)?;
        file.sync_all()?;
        match self.format {
            #[cfg(feature = "parquet")]
            Format::Parquet => {
                replace_atomically(&self.path, |temporary| {
                    parquet_file::write(&self.part, self.classes, File::create(temporary)?)
                })?;
                fs::remove_file(&self.part)?;
            }
            _ => fs::rename(&self.part, &self.path)
                .map_err(|error| format!("{}: {error}", self.path.display()))?,
        }
        fs::remove_file(&self.identity)?;
        Ok(self.counts)
    }
}

/// The whole rows of a table that was not finished, and how long they are in bytes.
fn rows(part: &Path, format: Format) -> AnyResult<(Counts, u64)> {
    let mut counts = Counts::default();
    let mut length = 0;
    match format {
        Format::Csv => {
            let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(part)?;
            let columns = reader.headers()?.len();
            let total = fs::metadata(part)?.len();
            let mut record = csv::StringRecord::new();
            // The last row counts if its end is there.
            while reader.read_record(&mut record).unwrap_or(false) {
                let end = reader.position().byte();
                if record.len() != columns || (end == total && !ends_with_newline(part)?) {
                    break;
                }
                counts.add(&record[5] == "true", record[1].is_empty());
                length = end;
            }
        }
        _ => {
            let mut reader = BufReader::new(File::open(part)?);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
                let Ok(row) = serde_json::from_slice::<Value>(&line) else {
                    break;
                };
                counts.add(row["novel"] == json!(true), row["class"].is_null());
                length += line.len() as u64;
                line.clear();
            }
        }
    }
    Ok((counts, length))
}

fn ends_with_newline(path: &Path) -> AnyResult<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_goes_on_after_its_last_whole_row() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.part");
        let rows_of = |text: &str, format| {
            fs::write(&path, text).unwrap();
            rows(&path, format).unwrap()
        };
        let header = "image,class,confidence,second,novelty,novel,p_a\n";
        let counts = |images, novel, undecided| Counts {
            images,
            novel,
            undecided,
        };
        let whole = format!("{header}x.png,a,1,a,0.1,false,1\n\"y,\n.png\",,1,a,0.1,true,1\n");
        let length = whole.len() as u64;
        assert_eq!(rows_of(&whole, Format::Csv), (counts(2, 1, 1), length));
        let cut = format!("{whole}z.png,a,1,a,0.1,false,1");
        assert_eq!(rows_of(&cut, Format::Csv), (counts(2, 1, 1), length));
        let cut = format!("{whole}z.png,a");
        assert_eq!(rows_of(&cut, Format::Csv), (counts(2, 1, 1), length));
        assert_eq!(rows_of(header, Format::Csv).0, counts(0, 0, 0));
        let row = "{\"class\": null, \"novel\": false}\n";
        let cut = format!("{row}{{\"class\": ");
        let length = row.len() as u64;
        assert_eq!(rows_of(&cut, Format::Jsonl), (counts(1, 0, 1), length));
    }
}
