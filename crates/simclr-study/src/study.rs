//! Working through a study's cells.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use simclr_augment::Policy;
use simclr_data::{
    AugmentedDataset, Dataset, DatasetExt, OfflineAugmentation, Seed, Split, Subset,
};
use simclr_model::FrozenEncoder;

use super::cell_result::{Found, NetworkReport, Outcome};
use super::cell_store::slug;
use super::feature_store::encoder_digest;
use super::{ArmResults, Cell, Comparison, FeatureStore, Protocol, Sweep, Task};
use crate::{Error, Result};
use simclr_data::dataset_facts_with_contents;
use simclr_eval::{Features, Judge};
use simclr_progress::{ProgressMode, Stage, StepUpdate};
use simclr_train::FineTuneRun;
use simclr_train::run::{RunFacts, RunFolder};

/// An experiment in progress.
///
/// Its folder holds `config.json` (the [`Protocol`]), `manifest.json`, a file per finished
/// cell in `cells/`, features in `features/`, and what [`write_report`](Self::write_report)
/// writes.
pub struct Study {
    pub(super) folder: RunFolder,
    pub(super) protocol: Protocol,
    pub(super) task: Arc<Task>,
    /// The labelled images and copies of those that some fold trains on.
    enlarged: Option<AugmentedDataset>,
    pub(super) repetitions: Vec<Repetition>,
    pub(super) arms: Vec<Arm>,
    pub(super) notes: Vec<String>,
    pub(super) runs: Vec<(String, PathBuf)>,
    sweep: Sweep,
    store: FeatureStore,
    progress: ProgressMode,
}

/// One seed's folds.
#[derive(Clone)]
pub struct Repetition {
    /// The seed.
    pub seed: u64,
    /// A folder of this seed's own in the study's folder, for pretraining runs.
    pub dir: PathBuf,
    /// The folds, as indices into the task's images. All have the same test images.
    pub folds: Vec<Split<Vec<usize>>>,
    task: Arc<Task>,
    enlargement: Option<OfflineAugmentation>,
}

/// A cell in which a network is to be trained with labels.
pub struct Trial {
    /// The seed.
    pub seed: u64,
    /// The part of the training images whose labels are used.
    pub label_fraction: f64,
    /// A folder for the training run. It is removed once the cell is recorded.
    pub dir: PathBuf,
    /// The images whose labels are used, the ones to choose the epoch with, and the test
    /// images.
    pub split: Split<Subset>,
}

/// An arm that has been worked through.
pub(super) struct Arm {
    pub(super) results: ArmResults,
    /// The features of all images under the first seed, for the report.
    pub(super) features: Option<Features>,
}

impl Repetition {
    /// What self-supervision may see: everything but the test images, or a part of it, and
    /// copies of that if the protocol wants any.
    ///
    /// # Errors
    /// A fraction that is not in (0, 1].
    pub fn unlabelled(&self, fraction: f64) -> Result<Arc<dyn Dataset>> {
        let pool = self.originals(fraction)?;
        match &self.enlargement {
            None => Ok(pool),
            Some(how) => {
                let all: Vec<usize> = (0..pool.len()).collect();
                Ok(AugmentedDataset::new(pool, &all, how.clone())?.shared())
            }
        }
    }

    /// How many images [`unlabelled`](Self::unlabelled) gives, copies not counted.
    ///
    /// # Errors
    /// As [`unlabelled`](Self::unlabelled).
    pub fn unlabelled_count(&self, fraction: f64) -> Result<usize> {
        Ok(self.originals(fraction)?.len())
    }

    fn originals(&self, fraction: f64) -> Result<Arc<dyn Dataset>> {
        let first = self.folds.first();
        let first = first.ok_or_else(|| Error::setting("folds", "at least one", "none"))?;
        self.task.unlabelled(first, fraction, Seed(self.seed))
    }
}

impl Study {
    /// Opens the study's folder, making it if needed, and cuts the folds.
    ///
    /// # Errors
    /// Settings out of range; a class too small for the folds; a folder that holds another
    /// study; an image that cannot be read.
    pub fn open(dir: impl Into<PathBuf>, protocol: Protocol, task: Task) -> Result<Self> {
        protocol.validate()?;
        let dir = dir.into();
        let task = Arc::new(task);
        let repetition = |&seed: &u64| {
            Ok(Repetition {
                seed,
                dir: dir.join(format!("seed-{seed}")),
                folds: task.folds(&protocol.folds, Seed(seed))?,
                task: task.clone(),
                enlargement: protocol.enlargement.clone(),
            })
        };
        let repetitions = protocol.seeds.iter().map(repetition);
        let repetitions = repetitions.collect::<Result<Vec<_>>>()?;
        let enlarged = protocol.enlargement.clone();
        let enlarged = enlarged.map(|how| enlarged_training(&task, &repetitions, how));
        let folder = RunFolder::open(&dir, &protocol, &facts(&protocol, &task)?)?;
        Ok(Self {
            sweep: Sweep::open(dir.join("cells"))?,
            store: FeatureStore::open(dir.join("features"))?,
            folder,
            protocol,
            task,
            enlarged: enlarged.transpose()?,
            repetitions,
            arms: Vec::new(),
            notes: Vec::new(),
            runs: Vec::new(),
            progress: ProgressMode::Silent,
        })
    }

    /// Keeps features in another folder, which several studies may share.
    pub fn with_features(mut self, store: FeatureStore) -> Self {
        self.store = store;
        self
    }

    /// Uses the folders of another study for pretraining runs: for the same images with other
    /// classes, whose folds are the same.
    ///
    /// # Errors
    /// A study with other seeds or other folds.
    pub fn sharing(mut self, other: &Self) -> Result<Self> {
        let folds = |study: &Self| -> Vec<(u64, Vec<Split<Vec<usize>>>)> {
            let repetitions = study.repetitions.iter();
            repetitions.map(|r| (r.seed, r.folds.clone())).collect()
        };
        if folds(&self) != folds(other) {
            let expected = "the same seeds and folds";
            return Err(Error::setting("study to share with", expected, "others"));
        }
        for (own, others) in self.repetitions.iter_mut().zip(&other.repetitions) {
            own.dir.clone_from(&others.dir);
        }
        Ok(self)
    }

    /// How the work is shown. Default: not at all.
    pub fn progress(mut self, progress: ProgressMode) -> Self {
        self.progress = progress;
        self
    }

    /// Adds a paragraph to the beginning of the report: what readers must know to judge
    /// the figures.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Adds the training curves of a run folder to the report.
    pub fn show_run(&mut self, name: impl Into<String>, dir: impl Into<PathBuf>) {
        self.runs.push((name.into(), dir.into()));
    }

    /// Adds the training curves of the first seed's run in the folder `folder` of its
    /// [`Repetition::dir`].
    pub fn show_pretraining(&mut self, name: &str, folder: &str) {
        if let Some(first) = self.repetitions.first() {
            let dir = first.dir.join(folder);
            self.show_run(name, dir);
        }
    }

    /// The folder.
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

    /// The folds of every seed.
    pub fn repetitions(&self) -> &[Repetition] {
        &self.repetitions
    }

    /// Works through an arm that is an encoder, in general another one for each seed: its
    /// features are computed once, and every fold and label fraction is judged by the
    /// protocol's probes on them.
    ///
    /// # Errors
    /// Those of `encoder`; an image that cannot be read; a cell on record that was judged
    /// with another encoder.
    pub fn probe<E: Into<Error>>(
        &mut self,
        name: impl Into<String>,
        encoder: impl FnMut(&Repetition) -> Result<FrozenEncoder, E>,
    ) -> Result<()> {
        let policy = self.protocol.probe_policy();
        self.probe_at(name, &policy, encoder)
    }

    /// [`probe`](Self::probe) with images that are prepared in another way than the
    /// protocol's, such as at another size.
    ///
    /// # Errors
    /// As [`probe`](Self::probe).
    pub fn probe_at<E: Into<Error>>(
        &mut self,
        name: impl Into<String>,
        policy: &Policy,
        mut encoder: impl FnMut(&Repetition) -> Result<FrozenEncoder, E>,
    ) -> Result<()> {
        let name = name.into();
        self.check_new(&name)?;
        let mut results = ArmResults::new(&name);
        let mut first = None;
        for repetition in &self.repetitions {
            let encoder = encoder(repetition).map_err(Into::into)?;
            let features = self.features(&name, &encoder, policy)?;
            // What the cells are known by: the network and how it sees images.
            let subject = format!("{}, {policy}", encoder_digest(&encoder)?);
            self.probe_cells(repetition, &subject, &features, &mut results)?;
            first = first.or(Some(features));
        }
        self.arms.push(Arm {
            results,
            features: first,
        });
        Ok(())
    }

    /// Works through an arm that is a network trained anew with each cell's labels.
    /// `train` is called for cells that are not on record.
    ///
    /// # Errors
    /// Those of `train`; an image that cannot be read.
    pub fn train<E: Into<Error>>(
        &mut self,
        name: impl Into<String>,
        mut train: impl FnMut(&Trial) -> Result<FineTuneRun, E>,
    ) -> Result<()> {
        let name = name.into();
        self.check_new(&name)?;
        let mut results = ArmResults::new(&name);
        for cell in self.cells(&name, &self.protocol.seeds) {
            let (fold, budget) = self.place(&cell)?;
            let work = || {
                let trial = self.trial(&cell, &budget, fold)?;
                network_outcome(train(&trial).map_err(Into::into)?, budget.len())
            };
            let outcome = self.sweep.finish(&cell, "trained in the cell", work)?;
            let scratch = self.trial_dir(&cell);
            if scratch.exists() {
                fs::remove_dir_all(&scratch).map_err(Error::io(&scratch))?;
            }
            results.cells.push((cell, outcome));
        }
        let features = None;
        self.arms.push(Arm { results, features });
        Ok(())
    }

    /// The results of all arms so far.
    ///
    /// # Errors
    /// If there is no arm yet.
    pub fn comparison(&self) -> Result<Comparison> {
        Comparison::new(self.arms.iter().map(|arm| arm.results.clone()).collect())
    }

    fn check_new(&self, name: &str) -> Result<()> {
        match self.arms.iter().any(|arm| arm.results.name == name) {
            true => Err(Error::setting("name of an arm", "a new one", name)),
            false => Ok(()),
        }
    }

    fn features(&self, arm: &str, encoder: &FrozenEncoder, policy: &Policy) -> Result<Features> {
        let images = &self.images();
        let batches = images.len().div_ceil(simclr_eval::EXTRACTION_BATCH_SIZE) as u64;
        let mut progress = self
            .progress
            .start(Stage::new(format!("features of \"{arm}\""), batches));
        let (features, was_there) =
            self.store
                .features(encoder, images, policy, progress.as_mut())?;
        let how = if was_there { "read" } else { "computed" };
        progress.finish(&format!(
            "{} images x {} {how}",
            features.len(),
            features.size
        ));
        Ok(features)
    }

    fn probe_cells(
        &self,
        repetition: &Repetition,
        subject: &str,
        features: &Features,
        results: &mut ArmResults,
    ) -> Result<()> {
        let mut judge = self.protocol.judge.clone();
        judge.linear.seed = repetition.seed;
        let cells = self.cells(&results.name, &[repetition.seed]);
        let stage = Stage::new(
            format!("probes on \"{}\"", results.name),
            cells.len() as u64,
        );
        let mut progress = self.progress.start(stage);
        for cell in cells {
            let (fold, budget) = self.place(&cell)?;
            let work = || {
                let train = features.select(&self.with_copies(&budget))?;
                probe_cell(&judge, features, train, budget.len(), fold)
            };
            let outcome = self.sweep.finish(&cell, subject, work)?;
            progress.step(&StepUpdate {
                images: outcome.train_images,
                ..StepUpdate::default()
            });
            results.cells.push((cell, outcome));
        }
        progress.finish("done");
        Ok(())
    }

    fn cells(&self, arm: &str, seeds: &[u64]) -> Vec<Cell> {
        let folds = self.repetitions.first().map_or(0, |r| r.folds.len());
        Sweep::grid(&[arm], seeds, folds, &self.protocol.label_fractions)
    }

    /// The fold of a cell, and the images whose labels it may use.
    fn place(&self, cell: &Cell) -> Result<(&Split<Vec<usize>>, Vec<usize>)> {
        let mut repetitions = self.repetitions.iter();
        let repetition = repetitions.find(|repetition| repetition.seed == cell.seed);
        let fold = repetition.and_then(|repetition| repetition.folds.get(cell.fold));
        let fold =
            fold.ok_or_else(|| Error::setting("cell", "one of the study", format!("{cell:?}")))?;
        let seed = Seed(cell.seed);
        let budget = self.task.budget(&fold.train, cell.label_fraction, seed)?;
        Ok((fold, budget))
    }

    fn trial(&self, cell: &Cell, budget: &[usize], fold: &Split<Vec<usize>>) -> Result<Trial> {
        let split = Split {
            train: self.with_copies(budget),
            ..fold.clone()
        };
        Ok(Trial {
            seed: cell.seed,
            label_fraction: cell.label_fraction,
            dir: self.trial_dir(cell),
            split: split.of(self.images())?,
        })
    }

    /// The labelled images, under their own indices, and perhaps copies behind them.
    fn images(&self) -> Arc<dyn Dataset> {
        match &self.enlarged {
            Some(enlarged) => enlarged.shared(),
            None => self.task.labelled().clone(),
        }
    }

    /// Training images with their copies, if there are any.
    fn with_copies(&self, train: &[usize]) -> Vec<usize> {
        match &self.enlarged {
            Some(enlarged) => enlarged.with_copies(train),
            None => train.to_vec(),
        }
    }

    fn trial_dir(&self, cell: &Cell) -> PathBuf {
        let name = format!("fold-{}_labels-{}", cell.fold + 1, cell.label_fraction);
        let dir = self.dir().join(format!("seed-{}", cell.seed));
        dir.join(slug(&cell.arm)).join(name)
    }
}

fn network_outcome(run: FineTuneRun, train_images: usize) -> Result<Outcome> {
    let test = run
        .result
        .test
        .ok_or_else(|| Error::setting("test images", "some with labels", "none"))?;
    Ok(Outcome {
        train_images,
        found: Found::Network(Box::new(NetworkReport {
            test,
            test_scores: run.result.test_scores,
        })),
    })
}

fn probe_cell(
    judge: &Judge,
    features: &Features,
    train: Features,
    train_images: usize,
    fold: &Split<Vec<usize>>,
) -> Result<Outcome> {
    let parts = Split {
        train,
        validation: features.select(&fold.validation)?,
        test: features.select(&fold.test)?,
    };
    Ok(Outcome {
        train_images,
        found: Found::Probes(Box::new(judge.judge(&parts)?)),
    })
}

/// The labelled images with copies of those that some fold of some seed trains on.
fn enlarged_training(
    task: &Task,
    repetitions: &[Repetition],
    how: OfflineAugmentation,
) -> Result<AugmentedDataset> {
    let folds = repetitions.iter().flat_map(|repetition| &repetition.folds);
    let train: Vec<usize> = folds.flat_map(|fold| fold.train.clone()).collect();
    Ok(AugmentedDataset::new(task.labelled().clone(), &train, how)?)
}

/// Seeds and data.
fn facts(protocol: &Protocol, task: &Task) -> Result<RunFacts> {
    let images = dataset_facts_with_contents(task.source(), task.labelled().as_ref())?;
    let mut facts = RunFacts::default().dataset("labelled", images);
    for (index, &seed) in protocol.seeds.iter().enumerate() {
        facts = facts.seed(format!("repetition {}", index + 1), seed);
    }
    match task.more_unlabelled() {
        None => Ok(facts),
        Some(more) => {
            let more = dataset_facts_with_contents("more images", more.as_ref())?;
            Ok(facts.dataset("unlabelled", more))
        }
    }
}
