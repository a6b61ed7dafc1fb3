//! The folder of a run.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use simclr_files::{remove_leftovers, write_json};

use super::checkpoints::{Checkpoints, holds_checkpoints};
use super::configuration::differences;
use super::lock::FolderLock;
use super::manifest::{Manifest, RunFacts, Session, arithmetic};
use super::metrics_log::{MetricsLog, MetricsPosition};
use super::metrics_table::MetricsTable;
use super::notices::{Notice, Notices};
use super::record::{NOTICES, RESULT, read_record};
use crate::error::{Error, Result};

const CONFIG: &str = "config.json";
const MANIFEST: &str = "manifest.json";
const METRICS: &str = "metrics.csv";
const CHECKPOINTS: &str = "checkpoints";
/// Of a study.
const CELLS: &str = "cells";
pub(crate) const MODEL: &str = "model.safetensors";

/// The files of a training run, beside its checkpoints.
const FILES: [&str; 4] = [METRICS, NOTICES, MODEL, RESULT];

/// A run folder that this process may write to.
///
/// | file | content |
/// | --- | --- |
/// | `config.json` | everything that decides the result |
/// | `manifest.json` | seeds, data digests, versions, commands |
/// | `metrics.csv` | figures by step, see [`MetricsLog`] |
/// | `checkpoints/` | see [`Checkpoints`] |
/// | `notices.json` | what was noticed, if anything, see [`Notices`] |
/// | `model.safetensors` | the trained network |
/// | `result.json` | there once the run is finished |
/// | `run.lock` | keeps a second process away |
///
/// ```
/// # fn main() -> simclr_train::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path().join("run");
/// use simclr_train::run::{RunFacts, RunFolder};
///
/// #[derive(serde::Serialize)]
/// struct Settings {
///     epochs: usize,
///     learning_rate: f64,
/// }
///
/// #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
/// struct Outcome {
///     accuracy: f64,
/// }
///
/// let settings = Settings { epochs: 2, learning_rate: 0.3 };
/// let run = RunFolder::open(&dir, &settings, &RunFacts::default().seed("views", 1))?;
/// let mut log = run.metrics(&["loss"], None)?;
/// log.append(1, &[("loss", 5.2)])?;
/// run.write_result(&Outcome { accuracy: 0.75 })?;
/// drop(run);
///
/// // Later: the same settings open it again, others do not.
/// let run = RunFolder::open(&dir, &settings, &RunFacts::default().seed("views", 1))?;
/// assert_eq!(run.result()?, Some(Outcome { accuracy: 0.75 }));
/// drop(run);
/// let other = Settings { epochs: 3, learning_rate: 0.3 };
/// let error = RunFolder::open(&dir, &other, &RunFacts::default().seed("views", 1)).unwrap_err();
/// assert!(error.to_string().ends_with("epochs was 2, is 3"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RunFolder {
    dir: PathBuf,
    _lock: FolderLock,
}

impl RunFolder {
    /// Opens the folder `dir` for the run with this configuration and these
    /// seeds and data, making it if needed.
    ///
    /// A folder that is there already and holds a run must hold the same one, with the same instruction set
    /// and precision, unless nothing in it is finished: no checkpoint, result or cell of a study. `config`
    /// should hold everything that decides the result, and nothing else: the
    /// number of threads or of checkpoints to keep may change from session to
    /// session.
    ///
    /// # Errors
    /// [`Error::RunDiffers`] names the fields in which the recorded run
    /// differs; [`Error::RunLocked`] if another process works on it;
    /// [`Error::RunFile`] if the folder is nobody's run and holds a file that a run would replace;
    /// [`Error::File`].
    pub fn open(
        dir: impl Into<PathBuf>,
        config: &impl Serialize,
        facts: &RunFacts,
    ) -> Result<Self> {
        let dir = dir.into();
        let checkpoints = dir.join(CHECKPOINTS);
        if !Self::is_recorded_in(&dir) && holds_checkpoints(&checkpoints) {
            return Err(foreign(checkpoints));
        }
        Self::open_for(dir, config, facts, &FILES)
    }

    /// [`open`](Self::open) for something else than a training run: `files` are the names of what
    /// it writes into the folder itself, beside the record.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_for(
        dir: impl Into<PathBuf>,
        config: &impl Serialize,
        facts: &RunFacts,
        files: &[&str],
    ) -> Result<Self> {
        let dir = dir.into();
        Self::check_foreign(&dir, files)?;
        let arithmetic = arithmetic()?;
        fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
        let lock = FolderLock::take(&dir)?;
        remove_leftovers(&dir)?;

        let mut recorded: Option<Value> = read_record(&dir.join(CONFIG))?;
        let mut manifest: Option<Manifest> = read_record(&dir.join(MANIFEST))?;
        let mut different = Vec::new();
        if let Some(recorded) = &recorded {
            let now = as_read_back(&dir.join(CONFIG), config)?;
            different.extend(differences(recorded, &now));
        }
        if let Some(manifest) = &manifest {
            different.extend(differences(
                &manifest.identity(),
                &facts.identity(&arithmetic),
            ));
        }
        if !different.is_empty() {
            if holds_work(&dir)? {
                return Err(Error::RunDiffers {
                    dir,
                    differences: different,
                });
            }
            tracing::warn!(
                "{} holds nothing that was finished, so it is taken for this run: {}",
                dir.display(),
                different.join("; ")
            );
            (recorded, manifest) = (None, None);
            // Those of the other run.
            let notices = dir.join(NOTICES);
            if notices.exists() {
                fs::remove_file(&notices).map_err(Error::io(&notices))?;
            }
        }

        let mut manifest = manifest.unwrap_or_default();
        manifest.facts = facts.clone();
        manifest.sessions.push(Session::current());
        write_json(&dir.join(MANIFEST), &manifest)?;
        if recorded.is_none() {
            write_json(&dir.join(CONFIG), config)?;
        }
        Ok(Self { dir, _lock: lock })
    }

    /// Fails if a folder without a record holds one of these files, or a file of a record's name: it
    /// is somebody else's, and would be replaced. Any other file may be there.
    ///
    /// # Errors
    /// [`Error::RunFile`] names the file.
    pub fn check_foreign(dir: &Path, files: &[&str]) -> Result<()> {
        let mut paths = [CONFIG].iter().chain(files).map(|name| dir.join(name));
        match paths.find(|path| path.exists()) {
            // A record begins with its manifest.
            Some(path) if !Self::is_recorded_in(dir) => Err(foreign(path)),
            _ => Ok(()),
        }
    }

    /// Whether a run, or a study, is recorded in a folder: a manifest is there, or a configuration
    /// with the digest that each of our files has.
    pub fn is_recorded_in(dir: &Path) -> bool {
        let has_digest = |text: Vec<u8>| {
            let config = serde_json::from_slice::<Value>(&text);
            config.is_ok_and(|config| config.get("sha256").is_some())
        };
        dir.join(MANIFEST).exists() || fs::read(dir.join(CONFIG)).is_ok_and(has_digest)
    }

    /// Whether a file is one that a run has in its folder, or one of `files`, and the folder is that of
    /// a run or a study.
    pub fn is_file_of_record(path: &Path, files: &[&str]) -> bool {
        let dir = path.parent().unwrap_or(Path::new(""));
        Self::has_own_name(path, files) && Self::is_recorded_in(dir)
    }

    /// Whether a file has the name of one that a run has in its folder, or of one of `files`.
    pub fn has_own_name(path: &Path, files: &[&str]) -> bool {
        let mut names = [CONFIG, MANIFEST].iter().chain(&FILES).chain(files);
        path.file_name()
            .is_some_and(|name| names.any(|own| name == *own))
    }

    /// What differs between the runs, or studies, that are recorded in two folders, as
    /// [`Error::RunDiffers`] names it: what the first has, and the second.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn differences(recorded: &Path, now: &Path) -> Result<Vec<String>> {
        let record = |dir: &Path| -> Result<_> {
            let config: Option<Value> = read_record(&dir.join(CONFIG))?;
            let manifest: Option<Manifest> = read_record(&dir.join(MANIFEST))?;
            let identity = manifest.map(|manifest| manifest.identity());
            Ok([config, identity].map(Option::unwrap_or_default))
        };
        let (recorded, now) = (record(recorded)?, record(now)?);
        let pairs = recorded.iter().zip(&now);
        Ok(pairs
            .flat_map(|(recorded, now)| differences(recorded, now))
            .collect())
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `metrics.csv` with these columns: the rows up to a position are kept, none at the
    /// beginning of a run (`None`).
    ///
    /// # Errors
    /// As [`MetricsLog::open`].
    pub fn metrics(
        &self,
        columns: &[&str],
        position: Option<&MetricsPosition>,
    ) -> Result<MetricsLog> {
        MetricsLog::open(self.metrics_file(), columns, position)
    }

    /// Where `metrics.csv` is, or will be.
    pub fn metrics_file(&self) -> PathBuf {
        self.dir.join(METRICS)
    }

    /// The notices up to and including step `last`.
    ///
    /// # Errors
    /// As [`Notices::open`].
    pub fn notices(&self, last: u64) -> Result<Notices> {
        Notices::open(self.dir.join(NOTICES), last)
    }

    /// Where the trained network is, or will be.
    pub fn model_file(&self) -> PathBuf {
        self.dir.join(MODEL)
    }

    /// The checkpoints, of which the newest `keep` stay.
    ///
    /// # Errors
    /// As [`Checkpoints::open`].
    pub fn checkpoints(&self, keep: NonZeroUsize) -> Result<Checkpoints> {
        Checkpoints::open(self.dir.join(CHECKPOINTS), keep)
    }

    /// The result of a finished run; `None` before [`write_result`](Self::write_result).
    ///
    /// # Errors
    /// [`Error::File`], also if it is not a `T`.
    pub fn result<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        read_record(&self.dir.join(RESULT))
    }

    /// Records the result, which marks the run as finished.
    ///
    /// # Errors
    /// [`Error::File`], also if it cannot be serialised.
    pub fn write_result(&self, result: &impl Serialize) -> Result<()> {
        Ok(write_json(&self.dir.join(RESULT), result)?)
    }
}

/// A run folder as it lies on the disk, for reports: needs no lock, so a run
/// may be looked at while it is going on.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// `config.json`.
    pub config: Value,
    /// `manifest.json`.
    pub manifest: Manifest,
    /// `metrics.csv`, if anything was logged.
    pub metrics: Option<MetricsTable>,
    /// `result.json`, if the run is finished.
    pub result: Option<Value>,
    /// `notices.json`.
    pub notices: Vec<Notice>,
}

impl RunRecord {
    /// Reads the folder `dir`.
    ///
    /// # Errors
    /// [`Error::RunFile`] if it is not a run folder; [`Error::File`].
    pub fn read(dir: &Path) -> Result<Self> {
        let missing = |file: &str| Error::RunFile {
            path: dir.join(file),
            reason: "is missing, so this is not a run folder".into(),
        };
        let metrics = dir.join(METRICS);
        Ok(Self {
            config: read_record(&dir.join(CONFIG))?.ok_or_else(|| missing(CONFIG))?,
            manifest: read_record(&dir.join(MANIFEST))?.ok_or_else(|| missing(MANIFEST))?,
            metrics: metrics
                .exists()
                .then(|| MetricsTable::read(metrics))
                .transpose()?,
            result: read_record(&dir.join(RESULT))?,
            notices: Notices::open(dir.join(NOTICES), u64::MAX)?.list().to_vec(),
        })
    }
}

/// A file that a run would replace, though the folder is nobody's run.
fn foreign(path: PathBuf) -> Error {
    let reason = format!(
        "is there already, and without `{MANIFEST}` beside it this is no folder of ours: it would \
         be replaced; take another folder"
    );
    Error::RunFile { path, reason }
}

/// Whether there is a checkpoint, a result or a cell of a study in a folder or below it.
fn holds_work(dir: &Path) -> Result<bool> {
    for entry in fs::read_dir(dir).map_err(Error::io(dir))? {
        let path = entry.map_err(Error::io(dir))?.path();
        let is_work = path.ends_with(RESULT) || dir.ends_with(CHECKPOINTS) || dir.ends_with(CELLS);
        if is_work || (path.is_dir() && holds_work(&path)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The configuration as it will read from its file: numbers take the way
/// through text, so that rounding on that way is no difference.
fn as_read_back(path: &Path, config: &impl Serialize) -> Result<Value> {
    serde_json::to_vec_pretty(config)
        .and_then(|text| serde_json::from_slice(&text))
        .map_err(Error::json(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use simclr_data::DatasetFacts;

    fn facts(digest: &str) -> RunFacts {
        RunFacts::default().seed("views", 3).dataset(
            "train",
            DatasetFacts {
                source: "cores".into(),
                images: 2,
                digest: digest.into(),
            },
        )
    }

    #[test]
    fn a_run_is_recorded_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("a/b");
        let config = json!({"rate": 0.1f32, "sizes": [1, 2]});
        {
            let run = RunFolder::open(&dir, &config, &facts("x")).unwrap();
            assert_eq!(run.result::<Value>().unwrap(), None);
            let mut log = run.metrics(&["loss"], None).unwrap();
            log.append(1, &[("loss", 2.0)]).unwrap();
            let checkpoints = run.checkpoints(NonZeroUsize::MIN).unwrap();
            assert_eq!(checkpoints.list().unwrap(), []);
        }
        let run = RunFolder::open(&dir, &config, &facts("x")).unwrap();
        run.write_result(&json!({"accuracy": 0.5})).unwrap();
        let record = RunRecord::read(run.dir()).unwrap();
        assert_eq!(record.config["sizes"], json!([1, 2]));
        assert_eq!(record.manifest.facts, facts("x"));
        assert_eq!(record.manifest.sessions.len(), 2);
        assert_eq!(
            record.metrics.unwrap().series("loss").unwrap(),
            [(1.0, 2.0)]
        );
        assert_eq!(record.result, Some(json!({"accuracy": 0.5})));
    }

    #[test]
    fn awkward_numbers_are_not_taken_for_differences() {
        let dir = tempfile::tempdir().unwrap();
        let numbers: Vec<f64> = (0..2000)
            .map(|i| (f64::from(i) * 0.618_033_988_75).sin() * 10f64.powi(i % 60 - 30))
            .collect();
        let config = std::collections::BTreeMap::from([
            ("numbers", numbers),
            ("infinity", vec![f64::INFINITY]),
        ]);
        drop(RunFolder::open(dir.path(), &config, &facts("x")).unwrap());
        RunFolder::open(dir.path(), &config, &facts("x")).unwrap();
    }

    #[test]
    fn another_configuration_seed_or_data_set_is_refused_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunFolder::open(dir.path(), &json!({"rate": 0.1}), &facts("x")).unwrap();
        run.write_result(&json!({})).unwrap();
        drop(run);
        let before = RunRecord::read(dir.path()).unwrap();
        let error = RunFolder::open(
            dir.path(),
            &json!({"rate": 0.2, "blur": true}),
            &facts("y").seed("views", 4),
        )
        .unwrap_err();
        let Error::RunDiffers { differences, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(
            *differences,
            [
                "blur was absent, is true",
                "rate was 0.1, is 0.2",
                "dataset digest.train was \"x\", is \"y\"",
                "seeds.views was 3, is 4",
            ]
        );
        assert!(error.to_string().contains("rate was 0.1, is 0.2; dataset"));
        assert_eq!(RunRecord::read(dir.path()).unwrap(), before);
    }

    #[test]
    fn a_folder_that_is_taken_over_keeps_no_notices_of_the_other_run() {
        let dir = tempfile::tempdir().unwrap();
        let open = |rate| RunFolder::open(dir.path(), &json!({"rate": rate}), &facts("x")).unwrap();
        let noticed = || RunRecord::read(dir.path()).unwrap().notices.len();
        let mut notices = open(0.1).notices(0).unwrap();
        notices.add(3, "step left out", "the loss was NaN").unwrap();
        open(0.1);
        assert_eq!(noticed(), 1);
        open(0.2);
        assert_eq!(noticed(), 0);
    }

    #[test]
    fn files_of_somebody_else_are_not_replaced() {
        let config = json!({"rate": 0.1});
        let step = "checkpoints/step-00000001.safetensors";
        for name in [CONFIG, METRICS, NOTICES, MODEL, RESULT, step] {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, r#"{"a": 1}"#).unwrap();
            let error = RunFolder::open(dir.path(), &config, &facts("x")).unwrap_err();
            let text = error.to_string();
            let named = name.split('/').next().unwrap();
            assert!(matches!(error, Error::RunFile { path, .. } if path.ends_with(named)));
            assert!(text.contains("take another folder"), "{text}");
            assert_eq!(fs::read_to_string(&file).unwrap(), r#"{"a": 1}"#);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
        // Files of other names are no matter, and what a study does not write is none to it.
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(CHECKPOINTS)).unwrap();
        for name in ["notes.txt", "checkpoints/resnet.safetensors", MODEL] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        drop(RunFolder::open_for(dir.path(), &config, &facts("x"), &[RESULT]).unwrap());
        // Then it is a folder of ours, also if the manifest is lost.
        fs::remove_file(dir.path().join(MANIFEST)).unwrap();
        RunFolder::open(dir.path(), &config, &facts("x")).unwrap();
    }

    #[test]
    fn two_writers_at_once_are_refused_but_a_reader_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunFolder::open(dir.path(), &json!({}), &facts("x")).unwrap();
        let second = RunFolder::open(dir.path(), &json!({}), &facts("x")).unwrap_err();
        assert!(matches!(second, Error::RunLocked { .. }), "{second}");
        RunRecord::read(dir.path()).unwrap();
        drop(run);
        RunFolder::open(dir.path(), &json!({}), &facts("x")).unwrap();
    }

    #[test]
    fn a_folder_of_something_else_is_no_run() {
        let dir = tempfile::tempdir().unwrap();
        let error = RunRecord::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("not a run folder"), "{error}");
    }

    #[test]
    fn a_damaged_file_of_a_record_is_named_and_can_be_removed() {
        for name in [CONFIG, MANIFEST, RESULT, NOTICES] {
            let dir = tempfile::tempdir().unwrap();
            let open = || {
                let run = RunFolder::open(dir.path(), &json!({"rate": 0.1}), &RunFacts::default())?;
                run.notices(9)?
                    .add(3, "step left out", "the loss was NaN")?;
                run.result::<Value>()?;
                run.write_result(&json!({"accuracy": 0.5}))
            };
            open().unwrap();
            let path = dir.path().join(name);
            let whole = fs::read(&path).unwrap();
            for damaged in [&whole[..whole.len() / 2], &whole[1..], b""] {
                fs::write(&path, damaged).unwrap();
                let reading = RunRecord::read(dir.path()).unwrap_err();
                for error in [open().unwrap_err(), reading] {
                    let error = error.to_string();
                    assert!(error.starts_with(&path.display().to_string()), "{error}");
                    assert!(
                        error.contains("; ") && error.contains("remove the file"),
                        "{error}"
                    );
                }
            }
            fs::remove_file(&path).unwrap();
            open().unwrap();
            assert!(path.exists());
        }
    }
}
