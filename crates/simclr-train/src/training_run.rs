//! One process's work on a run: batches in, steps, metrics and checkpoints out.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use candle_core::Device;
use serde::Serialize;
use simclr_data::{Batch, ViewLoader};
use simclr_progress::{Progress, ProgressMode, Stage, StepUpdate};

use crate::run::{Checkpoints, MetricsLog, MetricsTable, RunFacts, RunFolder};
use crate::trainer::{StepMetrics, Trainer};
use crate::{Result, state};

/// The trained network in the run folder.
const MODEL_FILE: &str = "model.safetensors";

/// How a run is carried out. Nothing here changes its result.
#[derive(Debug, Clone)]
pub(crate) struct SessionOptions {
    pub(crate) device: Device,
    pub(crate) progress: ProgressMode,
    pub(crate) checkpoint_epochs: NonZeroUsize,
    pub(crate) keep_checkpoints: NonZeroUsize,
    pub(crate) cache_bytes: u64,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            progress: ProgressMode::Silent,
            checkpoint_epochs: NonZeroUsize::MIN,
            keep_checkpoints: NonZeroUsize::new(5).unwrap_or(NonZeroUsize::MIN),
            cache_bytes: 2 << 30,
        }
    }
}

/// What a session works on.
pub(crate) struct Plan<'a, C> {
    pub(crate) stage: &'static str,
    pub(crate) dir: PathBuf,
    pub(crate) config: &'a C,
    pub(crate) facts: RunFacts,
    /// The columns of `metrics.csv`, after the step. Nothing in it depends on the clock: a
    /// resumed run leaves the same file as an uninterrupted one.
    pub(crate) columns: &'a [&'a str],
    pub(crate) epochs: usize,
    pub(crate) loader: ViewLoader,
    pub(crate) trainer: Trainer,
    pub(crate) options: &'a SessionOptions,
}

/// What a session does with its batches.
pub(crate) trait Work {
    /// One step of the trainer.
    fn step(&mut self, trainer: &mut Trainer, batch: &Batch) -> Result<StepMetrics>;

    /// Called after the last step of each epoch, counted from 1; the figures go into the
    /// row of that step.
    fn after_epoch(&mut self, _trainer: &Trainer, _epoch: usize) -> Result<Vec<Figure>> {
        Ok(Vec::new())
    }
}

/// A column of `metrics.csv` and its value.
pub(crate) type Figure = (&'static str, f64);

/// An opened run folder, the loader and the trainer, at the step where this session begins.
pub(crate) struct Session {
    folder: RunFolder,
    checkpoints: Checkpoints,
    /// The number of steps after which each epoch is over, ascending.
    epoch_ends: Vec<usize>,
    checkpoint_epochs: NonZeroUsize,
    metrics: MetricsLog,
    loader: ViewLoader,
    trainer: Trainer,
    device: Device,
    progress: Box<dyn Progress>,
}

/// How long the steps of a session took, and how much of it was waiting.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    images: usize,
    elapsed: Duration,
    waited: Duration,
}

impl Pace {
    pub(crate) fn images_per_second(&self) -> f64 {
        self.images as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The part of the time in which the network waited for data.
    pub(crate) fn waiting_share(&self) -> f64 {
        self.waited.as_secs_f64() / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// A session whose steps are done.
pub(crate) struct Finished {
    folder: RunFolder,
    pub(crate) trainer: Trainer,
    progress: Box<dyn Progress>,
    /// The number of steps after which each epoch is over, ascending.
    pub(crate) epoch_ends: Vec<usize>,
    /// All rows of `metrics.csv`, those of earlier sessions too.
    pub(crate) metrics: MetricsTable,
    pub(crate) pace: Pace,
}

/// A recorded run.
pub(crate) struct Outcome<R> {
    pub(crate) result: R,
    pub(crate) trainer: Trainer,
    pub(crate) dir: PathBuf,
    pub(crate) model_file: PathBuf,
}

impl Session {
    /// Opens the run folder and goes to where its newest checkpoint is.
    pub(crate) fn open<C: Serialize>(plan: Plan<'_, C>) -> Result<Self> {
        let Plan {
            loader,
            mut trainer,
            options,
            epochs,
            ..
        } = plan;
        let folder = RunFolder::open(plan.dir, plan.config, &plan.facts)?;
        let checkpoints = folder.checkpoints(options.keep_checkpoints)?;
        if let Some(latest) = checkpoints.latest()? {
            state::restore_training(&latest.path, &mut trainer, &options.device)?;
        }
        let metrics = folder.metrics(plan.columns, Some(trainer.steps_taken()))?;
        let stage = Stage::new(plan.stage, loader.steps(epochs) as u64);
        Ok(Self {
            epoch_ends: (1..=epochs).map(|epoch| loader.steps(epoch)).collect(),
            checkpoint_epochs: options.checkpoint_epochs,
            progress: options
                .progress
                .start(stage.resumed_after(trainer.steps_taken())),
            device: options.device.clone(),
            folder,
            checkpoints,
            metrics,
            loader,
            trainer,
        })
    }

    /// Where the run's network belongs.
    pub(crate) fn model_file(&self) -> PathBuf {
        self.folder.dir().join(MODEL_FILE)
    }

    /// The rows of `metrics.csv` up to where this session begins.
    pub(crate) fn metrics_so_far(&self) -> Result<MetricsTable> {
        MetricsTable::read(self.metrics.path())
    }

    /// Takes the steps that are left.
    pub(crate) fn run(mut self, work: &mut dyn Work) -> Result<Finished> {
        let first = self.trainer.steps_taken() as usize;
        let last = self.epoch_ends.last().copied().unwrap_or(0);
        let mut pace = Pace::default();
        let mut batches = self.loader.batches(first..last)?;
        loop {
            let began = Instant::now();
            let Some(batch) = batches.next() else { break };
            let waited = began.elapsed();
            let batch = batch?.to_device(&self.device)?;
            let metrics = work.step(&mut self.trainer, &batch)?;
            pace.images += batch.len();
            pace.elapsed += began.elapsed();
            pace.waited += waited;
            let mut row = row(batch.epoch, &metrics);
            let epoch = self.epoch_that_ends_here();
            if let Some(epoch) = epoch {
                row.extend(work.after_epoch(&self.trainer, epoch)?);
            }
            self.metrics.append(self.trainer.steps_taken(), &row)?;
            self.progress.step(&StepUpdate {
                images: batch.len(),
                loss: Some(metrics.contrast.map_or(metrics.total_loss, |c| c.loss)),
                learning_rate: Some(metrics.learning_rate),
                waited,
            });
            if let Some(epoch) = epoch {
                self.checkpoint(epoch)?;
            }
        }
        drop(batches);
        Ok(Finished {
            metrics: MetricsTable::read(self.metrics.path())?,
            folder: self.folder,
            epoch_ends: self.epoch_ends,
            trainer: self.trainer,
            progress: self.progress,
            pace,
        })
    }

    /// The epoch whose last step was just taken, counted from 1.
    fn epoch_that_ends_here(&self) -> Option<usize> {
        let step = self.trainer.steps_taken() as usize;
        Some(self.epoch_ends.binary_search(&step).ok()? + 1)
    }

    /// Writes a checkpoint if one is due after this epoch.
    fn checkpoint(&self, epoch: usize) -> Result<()> {
        let every = self.checkpoint_epochs.get();
        if epoch.is_multiple_of(every) || epoch == self.epoch_ends.len() {
            let step = self.trainer.steps_taken();
            self.metrics.sync()?;
            self.checkpoints
                .save(step, |path| state::save_training(path, &self.trainer))?;
        }
        Ok(())
    }
}

impl Finished {
    /// Where the run's network belongs.
    pub(crate) fn model_file(&self) -> PathBuf {
        self.folder.dir().join(MODEL_FILE)
    }

    /// Writes the network as it is after the last step.
    pub(crate) fn save_network(&self) -> Result<()> {
        state::save_trained(&self.model_file(), &self.trainer)
    }

    /// Records the result, unless it is on record and nothing was left to do. `result` must
    /// see to it that the network is in its file.
    pub(crate) fn record<R>(
        mut self,
        result: impl FnOnce(&Self) -> Result<R>,
        summary: impl FnOnce(&R) -> String,
    ) -> Result<Outcome<R>>
    where
        R: Serialize + serde::de::DeserializeOwned,
    {
        let result = match self.folder.result()? {
            Some(recorded) if self.pace.images == 0 => recorded,
            _ => {
                let result = result(&self)?;
                self.folder.write_result(&result)?;
                result
            }
        };
        self.progress.finish(&summary(&result));
        Ok(Outcome {
            result,
            model_file: self.model_file(),
            dir: self.folder.dir().to_owned(),
            trainer: self.trainer,
        })
    }
}

/// What a step measured, by column.
fn row(epoch: usize, metrics: &StepMetrics) -> Vec<Figure> {
    let mut row = vec![
        ("epoch", (epoch + 1) as f64),
        ("learning_rate", metrics.learning_rate),
        ("total_loss", metrics.total_loss),
        ("weight_decay", metrics.weight_decay),
    ];
    if let Some(contrast) = metrics.contrast {
        row.push(("contrast_loss", contrast.loss));
        row.push(("contrast_accuracy", contrast.accuracy));
        row.push(("contrast_entropy", contrast.entropy));
    }
    if let Some(distillation) = metrics.distillation {
        row.push(("distillation_loss", distillation.loss));
        row.push(("agreement_accuracy", distillation.agreement));
    }
    if let Some(supervised) = metrics.supervised {
        row.push(("supervised_loss", supervised.loss));
        row.push(("supervised_accuracy", supervised.accuracy));
    }
    row
}
