//! A study: its folder, its folds and the methods that have been evaluated.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use serde_json::Value;
use simclr_data::{
    AugmentedDataset, Dataset, DatasetExt, OfflineAugmentation, Split, dataset_facts_with_contents,
};
use simclr_eval::Features;
use simclr_files::write_json;
use simclr_model::GradientCheckpointing;
use simclr_progress::ProgressMode;
use simclr_train::PauseHandle;
use simclr_train::run::{Manifest, RunFacts, RunFolder, read_record};

use crate::cell::Cell;
use crate::cell_store::CellStore;
use crate::comparison::{CellImages, Comparison, MethodResults};
use crate::error::{Error, Result};
use crate::feature_store::FeatureStore;
use crate::file_name::file_name;
use crate::files;
use crate::part::Part;
use crate::protocol::Protocol;
use crate::seed_run::SeedRun;
use crate::task::{START_NETWORK, Task};

const MANIFEST: &str = "manifest.json";

/// An experiment in progress.
///
/// Its folder holds `config.json` (the [`Protocol`]), `manifest.json`, `duplicates.json` if they
/// were searched for, a file per finished cell in `cells/`, features in `features/`, and what
/// [`write_report`](Self::write_report) writes.
pub struct Study {
    pub(crate) folder: RunFolder,
    pub(crate) protocol: Protocol,
    pub(crate) task: Arc<Task>,
    pub(crate) device: Device,
    /// The labelled images and copies of those that some fold trains on.
    augmented: Option<AugmentedDataset>,
    pub(crate) seed_runs: Vec<SeedRun>,
    pub(crate) methods: Vec<EvaluatedMethod>,
    pub(crate) notes: Vec<String>,
    /// The names and folders of the training runs whose curves the report shows.
    pub(crate) shown_runs: Vec<(String, PathBuf)>,
    pub(crate) cells: CellStore,
    pub(crate) features: FeatureStore,
    pub(crate) progress: ProgressMode,
    pub(crate) gradient_checkpointing: GradientCheckpointing,
    part: Option<Part>,
    /// How many pairs of a method and a run of a seed there were.
    turns: usize,
    pub(crate) pause: PauseHandle,
}

/// A method with all its cells.
pub(crate) struct EvaluatedMethod {
    pub(crate) results: MethodResults,
    /// The features of all images under the first seed, for the report.
    pub(crate) features: Option<Features>,
    /// The names of the protocol's settings that decided how it was evaluated.
    pub(crate) settings: &'static [&'static str],
}

impl fmt::Debug for Study {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods = self.methods.iter().map(|method| &method.results.name);
        f.debug_struct("Study")
            .field("dir", &self.dir())
            .field("protocol", &self.protocol)
            .field("task", &self.task)
            .field("methods", &methods.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Study {
    /// Opens the study's folder, making it if needed, and cuts the folds. A folder that is
    /// there already must belong to the same study; seeds and label fractions may be added.
    ///
    /// # Errors
    /// Settings out of range; a class too small for the folds; a folder that holds another
    /// study, or is nobody's and holds a file that a study would replace; an image that cannot be
    /// read.
    pub fn open(dir: impl Into<PathBuf>, protocol: Protocol, task: Task) -> Result<Self> {
        Self::open_on(dir, protocol, task, Device::Cpu)
    }

    /// [`open`](Self::open) for a study whose networks compute on `device`: those that it trains,
    /// and those that it is given, which must be there already.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(
        dir: impl Into<PathBuf>,
        protocol: Protocol,
        task: Task,
        device: Device,
    ) -> Result<Self> {
        protocol.validate()?;
        let dir = dir.into();
        RunFolder::check_foreign(&dir, &files::ALL)?;
        protocol.check_folds(&task)?;
        let task = Arc::new(task);
        let seeds = protocol.seeds.iter();
        let seed_runs = seeds.map(|&seed| SeedRun::all(seed, &dir, &task, &protocol));
        let seed_runs = seed_runs.collect::<Result<Vec<_>>>()?.concat();
        let augmented = protocol.offline_augmentation.clone();
        let augmented = augmented.map(|how| with_training_copies(&task, &seed_runs, how));
        let mut facts = facts(&protocol, &task)?.device(&device);
        if began_without_start_network(&dir)? {
            facts.digests.remove(START_NETWORK);
        }
        update_recorded_protocol(&dir, &protocol, &facts)?;
        let folder = RunFolder::open_for(&dir, &protocol, &facts, &files::ALL)?;
        if let Some(record) = &task.duplicates {
            record.write(&dir)?;
        }
        Ok(Self {
            cells: CellStore::open(dir.join("cells"))?,
            features: FeatureStore::open(dir.join("features"))?,
            folder,
            protocol,
            task,
            device,
            augmented: augmented.transpose()?,
            seed_runs,
            methods: Vec::new(),
            notes: Vec::new(),
            shown_runs: Vec::new(),
            progress: ProgressMode::Silent,
            gradient_checkpointing: GradientCheckpointing::default(),
            part: None,
            turns: 0,
            pause: PauseHandle::default(),
        })
    }

    /// Whether a file is one that a study, or a training run, has in its folder, and the folder is
    /// one of those.
    pub fn is_file_of_record(path: &Path) -> bool {
        RunFolder::is_file_of_record(path, &files::ALL)
    }

    /// Keeps features in another folder, which several studies may share.
    pub fn with_feature_store(mut self, store: FeatureStore) -> Self {
        self.features = store;
        self
    }

    /// Uses the pretraining runs and features of another study: for the same images with other
    /// classes, whose folds are the same.
    ///
    /// # Errors
    /// A study with other seeds or other folds.
    pub fn with_runs_of(mut self, other: &Self) -> Result<Self> {
        let folds = |study: &Self| -> Vec<_> {
            let runs = study.seed_runs.iter();
            runs.map(|run| (run.seed, run.folds.clone())).collect()
        };
        if folds(&self) != folds(other) {
            let expected = "a study with the same seeds and folds";
            return Err(Error::setting(
                "study to share runs with",
                expected,
                "another",
            ));
        }
        for (own, others) in self.seed_runs.iter_mut().zip(&other.seed_runs) {
            own.dir.clone_from(&others.dir);
        }
        self.features = other.features.clone();
        Ok(self)
    }

    /// How progress is shown. Default: not at all.
    pub fn with_progress(mut self, progress: ProgressMode) -> Self {
        self.progress = progress;
        self
    }

    /// Whether [`fine_tune`](Self::fine_tune) recomputes activations in the backward pass
    /// instead of keeping them, which saves memory and changes no result. Default: no.
    pub fn with_gradient_checkpointing(mut self, checkpointing: GradientCheckpointing) -> Self {
        self.gradient_checkpointing = checkpointing;
        self
    }

    /// Computes only this part of the study, in a folder of its own; there is no comparison then.
    /// Default: all of it.
    pub fn with_part(mut self, part: Option<Part>) -> Self {
        self.part = part;
        self
    }

    /// The part of the study that is computed, if it is not all of it.
    pub fn part(&self) -> Option<Part> {
        self.part
    }

    /// Those runs of seeds for which the next method is to be evaluated.
    pub(crate) fn next_runs(&mut self) -> Vec<SeedRun> {
        let first = self.turns;
        self.turns += self.seed_runs.len();
        let is_mine = |turn: usize| self.part.is_none_or(|part| part.has_turn(turn));
        let runs = (first..).zip(&self.seed_runs);
        let runs = runs.filter(|(turn, _)| is_mine(*turn));
        runs.map(|(_, run)| run.clone()).collect()
    }

    /// Ends the work when this handle is paused: after the step of a training that is under way,
    /// which is saved, or after a cell.
    pub fn with_pause(mut self, pause: PauseHandle) -> Self {
        self.pause = pause;
        self
    }

    /// Fails if the study is to be paused.
    pub(crate) fn check_pause(&self) -> Result<()> {
        if self.pause.is_paused() {
            let dir = self.dir().to_owned();
            return Err(Error::Paused { dir });
        }
        Ok(())
    }

    /// Adds a paragraph to the beginning of the report: what readers must know to judge
    /// the results.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Adds the training curves of a run folder to the report.
    pub fn show_run(&mut self, name: impl Into<String>, dir: impl Into<PathBuf>) {
        self.shown_runs.push((name.into(), dir.into()));
    }

    /// The study's folder.
    pub fn dir(&self) -> &Path {
        self.folder.dir()
    }

    /// The settings.
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// The images.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Where networks compute.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The seeds with their folds.
    pub fn seed_runs(&self) -> &[SeedRun] {
        &self.seed_runs
    }

    /// The results of all methods so far.
    ///
    /// # Errors
    /// If there is no method yet; if only a part of the study is computed.
    pub fn comparison(&self) -> Result<Comparison> {
        if let Some(part) = self.part {
            let expected = "all parts of the study";
            return Err(Error::setting(
                "comparison",
                expected,
                format!("part {part}"),
            ));
        }
        let results = self.methods.iter().map(|method| method.results.clone());
        let cells = self
            .methods
            .iter()
            .take(1)
            .flat_map(|method| &method.results.cells);
        let images = cells.map(|(cell, _)| self.cell_images(cell));
        let images = images.collect::<Result<_>>()?;
        Comparison::new(results.collect(), images)
    }

    fn cell_images(&self, cell: &Cell) -> Result<CellImages> {
        let (_, fold) = self.resolve(cell)?;
        let groups = self.task.groups();
        let unit = |&image: &usize| groups.and_then(|all| all.group_of(image)).unwrap_or(image);
        Ok(CellImages {
            train: self.label_budget(cell)?,
            test_units: fold.test.iter().map(unit).collect(),
        })
    }

    /// Empty results for a new method, whose name can be told from the others', also where it
    /// becomes part of a file name.
    pub(crate) fn new_method(&self, name: impl Into<String>) -> Result<MethodResults> {
        let name = name.into();
        let file = file_name(&name);
        if file.is_empty() {
            let expected = "at least one letter or digit";
            return Err(Error::setting("name of a method", expected, name));
        }
        let mut known = self.methods.iter().map(|method| &method.results.name);
        if let Some(known) = known.find(|known| file_name(known) == file) {
            let expected = format!("one that can be told from \"{known}\" in file names");
            return Err(Error::setting(
                "name of a method",
                expected,
                format!("\"{name}\" (both become `{file}`)"),
            ));
        }
        Ok(MethodResults::new(name))
    }

    /// The cells of a method under some folds of a seed.
    pub(crate) fn cells_of(&self, method: &str, run: &SeedRun) -> Vec<Cell> {
        let folds = run.first_fold + run.folds.len();
        let mut cells = Cell::grid(
            &[method],
            &[run.seed],
            folds,
            &self.protocol.label_fractions,
        );
        cells.retain(|cell| cell.fold >= run.first_fold);
        cells
    }

    /// The seed and fold of a cell.
    pub(crate) fn resolve(&self, cell: &Cell) -> Result<(&SeedRun, &Split<Vec<usize>>)> {
        let mut runs = self.seed_runs.iter().filter(|run| run.seed == cell.seed);
        runs.find_map(|run| Some((run, run.fold(cell.fold)?)))
            .ok_or_else(|| Error::setting("cell", "one of the study", format!("{cell:?}")))
    }

    /// The images whose labels a cell may use.
    pub(crate) fn label_budget(&self, cell: &Cell) -> Result<Vec<usize>> {
        let (_, fold) = self.resolve(cell)?;
        self.task
            .label_budget(&fold.train, cell.label_fraction, cell.seed)
    }

    /// The labelled images, under their own indices, and perhaps copies behind them.
    pub(crate) fn images(&self) -> Arc<dyn Dataset> {
        match &self.augmented {
            Some(augmented) => augmented.shared(),
            None => self.task.labelled().clone(),
        }
    }

    /// Training images with their copies, if there are any.
    pub(crate) fn with_copies(&self, train: &[usize]) -> Vec<usize> {
        match &self.augmented {
            Some(augmented) => augmented.with_copies(train),
            None => train.to_vec(),
        }
    }
}

/// The labelled images with copies of those that some fold of some seed trains on.
fn with_training_copies(
    task: &Task,
    seed_runs: &[SeedRun],
    how: OfflineAugmentation,
) -> Result<AugmentedDataset> {
    let folds = seed_runs.iter().flat_map(|run| &run.folds);
    let train: Vec<usize> = folds.flat_map(|fold| fold.train.clone()).collect();
    Ok(AugmentedDataset::new(task.labelled().clone(), &train, how)?)
}

/// Whether the folder's study does not know the network that its methods start from, as in earlier
/// versions. Its cells do, one by one.
fn began_without_start_network(dir: &Path) -> Result<bool> {
    let manifest = read_record::<Manifest>(&dir.join(MANIFEST))?;
    Ok(manifest.is_some_and(|manifest| !manifest.facts.digests.contains_key(START_NETWORK)))
}

/// Gives settings that an earlier version has recorded their present names and defaults, so
/// that they can be compared with those of now, and adds seeds and label fractions that this
/// study has and the recorded one had not.
fn update_recorded_protocol(dir: &Path, protocol: &Protocol, facts: &RunFacts) -> Result<()> {
    let path = dir.join("config.json");
    let Some(value) = read_record::<Value>(&path)? else {
        return Ok(());
    };
    // What is no protocol is refused when it is compared.
    let Ok(recorded) = serde_json::from_value::<Protocol>(value.clone()) else {
        return Ok(());
    };
    if protocol.extends(&recorded) {
        let manifest = dir.join(MANIFEST);
        if let Some(mut contents) = read_record::<Manifest>(&manifest)? {
            contents.facts.seeds.clone_from(&facts.seeds);
            write_json(&manifest, &contents)?;
        }
        write_json(&path, protocol)?;
    } else if serde_json::to_value(&recorded).is_ok_and(|now| now != value) {
        write_json(&path, &recorded)?;
    }
    Ok(())
}

/// Seeds, data, and what is known about the images.
fn facts(protocol: &Protocol, task: &Task) -> Result<RunFacts> {
    let images = dataset_facts_with_contents(task.source(), task.labelled().as_ref())?;
    let mut facts = RunFacts::default().dataset("labelled", images);
    for (index, &seed) in protocol.seeds.iter().enumerate() {
        facts = facts.seed(format!("repetition {}", index + 1), seed.0);
    }
    for (of, digest) in task.digests()? {
        facts = facts.digest(of, digest);
    }
    match task.extra_unlabelled() {
        None => Ok(facts),
        Some(images) => {
            let images = dataset_facts_with_contents("more images", images.as_ref())?;
            Ok(facts.dataset("unlabelled", images))
        }
    }
}
