//! One process's work on a run with labels or a teacher: batches in, steps, metrics and
//! checkpoints out.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use candle_core::Device;
use serde::Serialize;
use simclr_data::{Batch, ViewLoader};

use crate::run::{
    Checkpoints, MetricsLog, MetricsTable, Progress, ProgressMode, RunFacts, RunFolder, Stage,
    StepUpdate,
};
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

/// An opened run folder, the loader and the trainer, at the step where this session begins.
pub(crate) struct Session {
    folder: RunFolder,
    checkpoints: Checkpoints,
    checkpoint_steps: Vec<usize>,
    metrics: MetricsLog,
    loader: ViewLoader,
    last_step: usize,
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
    /// All rows of `metrics.csv`, those of earlier sessions too.
    pub(crate) metrics: MetricsTable,
    pub(crate) pace: Pace,
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
        let last_step = loader.steps(epochs);
        let stage = Stage::new(plan.stage, last_step as u64);
        let every = options.checkpoint_epochs.get();
        let has_checkpoint = |epoch: &usize| epoch.is_multiple_of(every) || *epoch == epochs;
        let epochs_with_checkpoint = (1..=epochs).filter(has_checkpoint);
        Ok(Self {
            checkpoint_steps: epochs_with_checkpoint.map(|e| loader.steps(e)).collect(),
            progress: options
                .progress
                .start(stage.resumed_after(trainer.steps_taken())),
            device: options.device.clone(),
            folder,
            checkpoints,
            metrics,
            loader,
            last_step,
            trainer,
        })
    }

    /// Takes the steps that are left.
    pub(crate) fn run(
        mut self,
        mut step: impl FnMut(&mut Trainer, &Batch) -> Result<StepMetrics>,
    ) -> Result<Finished> {
        let first = self.trainer.steps_taken() as usize;
        let mut pace = Pace::default();
        let mut batches = self.loader.batches(first..self.last_step)?;
        loop {
            let began = Instant::now();
            let Some(batch) = batches.next() else { break };
            let waited = began.elapsed();
            let batch = batch?.to_device(&self.device)?;
            let metrics = step(&mut self.trainer, &batch)?;
            self.metrics
                .append(self.trainer.steps_taken(), &row(batch.epoch, &metrics))?;
            self.progress.step(&StepUpdate {
                images: batch.len(),
                loss: Some(metrics.total_loss),
                learning_rate: Some(metrics.learning_rate),
                waited,
            });
            pace.images += batch.len();
            pace.elapsed += began.elapsed();
            pace.waited += waited;
            self.checkpoint()?;
        }
        drop(batches);
        Ok(Finished {
            metrics: MetricsTable::read(self.metrics.path())?,
            folder: self.folder,
            trainer: self.trainer,
            progress: self.progress,
            pace,
        })
    }

    /// Writes a checkpoint if one is due after this step.
    fn checkpoint(&self) -> Result<()> {
        let step = self.trainer.steps_taken();
        if self.checkpoint_steps.contains(&(step as usize)) {
            self.metrics.sync()?;
            self.checkpoints
                .save(step, |path| state::save_training(path, &self.trainer))?;
        }
        Ok(())
    }
}

impl Finished {
    /// Records the network and the result, unless they are on record and nothing was left
    /// to do; returns the result, the folder and the network's file.
    pub(crate) fn record<R>(
        mut self,
        result: impl FnOnce(&Self) -> Result<R>,
        summary: impl FnOnce(&R) -> String,
    ) -> Result<(R, Trainer, PathBuf, PathBuf)>
    where
        R: Serialize + serde::de::DeserializeOwned,
    {
        let dir = self.folder.dir().to_owned();
        let model_file = dir.join(MODEL_FILE);
        let result = match self.folder.result()? {
            Some(recorded) if self.pace.images == 0 => recorded,
            _ => {
                let result = result(&self)?;
                state::save_trained(&model_file, &self.trainer)?;
                self.folder.write_result(&result)?;
                result
            }
        };
        self.progress.finish(&summary(&result));
        Ok((result, self.trainer, dir, model_file))
    }
}

/// What a step measured, by column.
fn row(epoch: usize, metrics: &StepMetrics) -> Vec<(&'static str, f64)> {
    let mut row = vec![
        ("epoch", (epoch + 1) as f64),
        ("learning_rate", metrics.learning_rate),
        ("total_loss", metrics.total_loss),
        ("weight_decay", metrics.weight_decay),
    ];
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
