//! One process's work on a run: batches in, steps, metrics and checkpoints out.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use candle_core::Device;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use simclr_data::{Dataset, ViewLoader};
use simclr_model::GradientCheckpointing;
use simclr_progress::{Progress, Silent, Stage, StepUpdate};

use crate::callback::{Callback, Control, EpochMetrics};
use crate::error::{Error, Result};
use crate::objective::{Metric, TrainingBatch};
use crate::run::{Checkpoints, MetricsLog, MetricsTable, RunFolder};
use crate::trainer::{StepMetrics, Trainer};

/// Gives the values of a run's extra columns after each epoch.
pub(crate) type EpochHook<'a> = dyn FnMut(&Trainer) -> Result<Vec<Metric>> + 'a;

/// The trained network in the run folder.
const MODEL_FILE: &str = "model.safetensors";

/// How a run is carried out. Nothing here changes its result.
#[derive(Debug, Clone)]
pub(crate) struct RunOptions {
    pub(crate) device: Device,
    pub(crate) gradient_checkpointing: GradientCheckpointing,
    pub(crate) checkpoint_epochs: NonZeroUsize,
    pub(crate) keep_checkpoints: NonZeroUsize,
    pub(crate) cache_bytes: u64,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            gradient_checkpointing: GradientCheckpointing::default(),
            checkpoint_epochs: NonZeroUsize::MIN,
            keep_checkpoints: NonZeroUsize::new(5).unwrap_or(NonZeroUsize::MIN),
            cache_bytes: 2 << 30,
        }
    }
}

/// An opened run folder, the loader and the trainer, at the step where this session begins.
pub(crate) struct TrainingRun {
    folder: RunFolder,
    checkpoints: Checkpoints,
    /// The number of steps after which each epoch is over, ascending.
    epoch_ends: Vec<usize>,
    metrics: MetricsLog,
    loader: ViewLoader,
    trainer: Trainer,
    options: RunOptions,
    progress: Box<dyn Progress>,
    callbacks: Vec<Arc<Mutex<dyn Callback>>>,
    /// The rows of the epoch under way.
    epoch_rows: Vec<Vec<(String, f64)>>,
    throughput: Throughput,
    stopped_early: bool,
}

/// How long the steps of a session took, and how much of it was waiting.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Throughput {
    images: usize,
    elapsed: Duration,
    waited: Duration,
}

impl Throughput {
    pub(crate) fn images_per_second(&self) -> f64 {
        self.images as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The share of the time in which the network waited for data.
    pub(crate) fn waiting_share(&self) -> f64 {
        self.waited.as_secs_f64() / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// A run whose steps are done.
pub(crate) struct CompletedRun {
    folder: RunFolder,
    pub(crate) trainer: Trainer,
    progress: Box<dyn Progress>,
    /// The number of steps after which each epoch is over, ascending.
    pub(crate) epoch_ends: Vec<usize>,
    /// All rows of `metrics.csv`, those of earlier sessions too.
    pub(crate) metrics: MetricsTable,
    pub(crate) throughput: Throughput,
    /// Whether a callback stopped it.
    pub(crate) stopped_early: bool,
}

/// A run whose result is in its folder.
pub(crate) struct RecordedRun<R> {
    pub(crate) result: R,
    pub(crate) trainer: Trainer,
    pub(crate) dir: PathBuf,
    pub(crate) model_file: PathBuf,
}

impl TrainingRun {
    /// Goes to the folder's newest checkpoint.
    pub(crate) fn open(
        folder: RunFolder,
        columns: &[&str],
        loader: ViewLoader,
        mut trainer: Trainer,
        total_steps: usize,
        options: RunOptions,
        callbacks: Vec<Arc<Mutex<dyn Callback>>>,
    ) -> Result<Self> {
        let checkpoints = folder.checkpoints(options.keep_checkpoints)?;
        if let Some(latest) = checkpoints.latest()? {
            trainer.restore(&latest.path, &options.device)?;
        }
        let taken = trainer.steps_taken();
        let result: Option<Value> = folder.result()?;
        let is_finished = result.is_some_and(|result| result["steps"] == taken);
        // A finished run is not gone on with, also if it was stopped early.
        let total_steps = if is_finished {
            taken as usize
        } else {
            total_steps
        };
        let epoch_ends = epoch_ends(&loader, total_steps);
        let metrics = folder.metrics(columns, Some(taken))?;
        let epoch_start = epoch_ends.iter().rfind(|&&end| end <= taken as usize);
        let epoch_rows = rows_after(&metrics, epoch_start.copied().unwrap_or(0))?;
        Ok(Self {
            folder,
            checkpoints,
            epoch_ends,
            metrics,
            loader,
            trainer,
            options,
            progress: Box::new(Silent),
            callbacks,
            epoch_rows,
            throughput: Throughput::default(),
            stopped_early: false,
        })
    }

    /// Begins to show progress.
    pub(crate) fn with_progress(
        mut self,
        stage: Stage,
        start: &dyn Fn(Stage) -> Box<dyn Progress>,
    ) -> Self {
        self.progress = start(stage.resumed_after(self.trainer.steps_taken()));
        self
    }

    /// Where the run's network belongs.
    pub(crate) fn model_file(&self) -> PathBuf {
        self.folder.dir().join(MODEL_FILE)
    }

    /// The rows of `metrics.csv` up to where this session begins.
    pub(crate) fn metrics_so_far(&self) -> Result<MetricsTable> {
        MetricsTable::read(self.metrics.path())
    }

    /// Takes the steps that are left; `after_epoch` gives the values of the extra columns.
    pub(crate) fn run(mut self, after_epoch: &mut EpochHook<'_>) -> Result<CompletedRun> {
        let first = self.trainer.steps_taken() as usize;
        let last = self.epoch_ends.last().copied().unwrap_or(0);
        let mut batches = self.loader.batches(first..last)?;
        loop {
            let began = Instant::now();
            let Some(batch) = batches.next() else { break };
            let waited = began.elapsed();
            let batch = batch?.to_device(&self.options.device)?;
            let dataset = self.loader.dataset();
            let labels: Vec<_> = batch.indices.iter().map(|&i| dataset.label(i)).collect();
            let metrics = self.trainer.step_batch(&TrainingBatch {
                views: &batch.views,
                labels: &labels,
            })?;
            self.throughput.images += batch.len();
            self.throughput.elapsed += began.elapsed();
            self.throughput.waited += waited;
            match self.after_step(batch.epoch, batch.len(), waited, &metrics, after_epoch)? {
                Control::Continue => {}
                Control::Pause => {
                    return Err(Error::Paused {
                        dir: self.folder.dir().to_owned(),
                        step: self.trainer.steps_taken(),
                    });
                }
                Control::Stop => break,
            }
        }
        drop(batches);
        Ok(CompletedRun {
            metrics: MetricsTable::read(self.metrics.path())?,
            folder: self.folder,
            epoch_ends: self.epoch_ends,
            trainer: self.trainer,
            progress: self.progress,
            throughput: self.throughput,
            stopped_early: self.stopped_early,
        })
    }

    /// Records the step, and the epoch if it ends here; saves a checkpoint where one is due.
    fn after_step(
        &mut self,
        epoch: usize,
        images: usize,
        waited: Duration,
        metrics: &StepMetrics,
        after_epoch: &mut EpochHook<'_>,
    ) -> Result<Control> {
        let steps = self.trainer.steps_taken();
        let mut control = self.ask(|callback| callback.on_step(metrics));
        if control == Control::Stop {
            self.end_at(steps as usize);
        }
        let ended = self.epoch_ends.binary_search(&(steps as usize)).ok();
        let mut row = row(epoch, metrics);
        if ended.is_some() {
            row.extend(after_epoch(&self.trainer)?);
        }
        self.metrics.append(steps, &row)?;
        self.progress.step(&StepUpdate {
            images,
            loss: Some(metrics.get("contrast_loss").unwrap_or(metrics.total_loss)),
            learning_rate: Some(metrics.learning_rate),
            waited,
        });
        let named = row
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        self.epoch_rows.push(named.collect());
        let mut is_checkpoint_due = false;
        if let Some(index) = ended {
            let epoch = EpochMetrics {
                epoch: index + 1,
                steps,
                values: means(&std::mem::take(&mut self.epoch_rows)),
            };
            control = control.max(self.ask(|callback| callback.on_epoch(&epoch)));
            if control == Control::Stop {
                self.end_at(steps as usize);
            }
            let every = self.options.checkpoint_epochs.get();
            is_checkpoint_due =
                epoch.epoch.is_multiple_of(every) || epoch.epoch == self.epoch_ends.len();
        }
        if is_checkpoint_due || control == Control::Pause {
            self.checkpoint()?;
        }
        Ok(control)
    }

    /// The epoch under way is the last one, and ends after this step.
    fn end_at(&mut self, step: usize) {
        self.stopped_early |= self.epoch_ends.last().is_some_and(|&last| last > step);
        self.epoch_ends.retain(|&end| end < step);
        self.epoch_ends.push(step);
    }

    fn ask(&self, mut answer: impl FnMut(&mut dyn Callback) -> Control) -> Control {
        let callbacks = self.callbacks.iter();
        let answers = callbacks.map(|callback| {
            let mut callback = callback.lock().unwrap_or_else(PoisonError::into_inner);
            answer(&mut *callback)
        });
        answers.max().unwrap_or_default()
    }

    fn checkpoint(&self) -> Result<()> {
        self.metrics.sync()?;
        let step = self.trainer.steps_taken();
        self.checkpoints
            .save(step, |path| self.trainer.save(path))?;
        Ok(())
    }
}

impl CompletedRun {
    pub(crate) fn model_file(&self) -> PathBuf {
        self.folder.dir().join(MODEL_FILE)
    }

    /// Writes the network as it is after the last step.
    pub(crate) fn save_network(&self) -> Result<()> {
        self.trainer.save_model(&self.model_file())
    }

    /// Writes the result and says what it is. A session without steps finds it recorded.
    pub(crate) fn record<R>(
        mut self,
        result: impl FnOnce(&Self) -> Result<R>,
        summary: impl FnOnce(&R) -> String,
    ) -> Result<RecordedRun<R>>
    where
        R: Serialize + DeserializeOwned,
    {
        let result = match self.folder.result()? {
            Some(recorded) if self.throughput.images == 0 => recorded,
            _ => {
                let result = result(&self)?;
                self.folder.write_result(&result)?;
                result
            }
        };
        self.progress.finish(&summary(&result));
        Ok(RecordedRun {
            result,
            model_file: self.model_file(),
            dir: self.folder.dir().to_owned(),
            trainer: self.trainer,
        })
    }
}

/// Where epochs end in a run of `total_steps`; the last one may be cut short.
fn epoch_ends(loader: &ViewLoader, total_steps: usize) -> Vec<usize> {
    let ends = (1..).map(|epochs| loader.steps(epochs));
    let mut ends: Vec<_> = ends.take_while(|&end| end < total_steps).collect();
    if total_steps > 0 {
        ends.push(total_steps);
    }
    ends
}

fn row(epoch: usize, metrics: &StepMetrics) -> Vec<Metric> {
    let mut row = vec![
        ("epoch", (epoch + 1) as f64),
        ("learning_rate", metrics.learning_rate),
        ("total_loss", metrics.total_loss),
        ("weight_decay", metrics.weight_decay),
    ];
    row.extend(&metrics.values);
    row
}

/// The rows after `step`, without empty cells and the step itself.
fn rows_after(metrics: &MetricsLog, step: usize) -> Result<Vec<Vec<(String, f64)>>> {
    let table = MetricsTable::read(metrics.path())?;
    let rows = table.rows().iter().filter(|row| {
        let number = row.first().copied().flatten();
        number.is_some_and(|number| number > step as f64)
    });
    let cells = |row: &Vec<Option<f64>>| {
        let named = table.columns().iter().zip(row).skip(1);
        named
            .filter_map(|(column, cell)| Some((column.clone(), (*cell)?)))
            .collect()
    };
    Ok(rows.map(cells).collect())
}

/// The mean of each column over the rows in which it has a value.
fn means(rows: &[Vec<(String, f64)>]) -> Vec<(String, f64)> {
    let mut sums: Vec<(String, f64, f64)> = Vec::new();
    for (name, value) in rows.iter().flatten() {
        match sums.iter_mut().find(|(column, ..)| column == name) {
            Some((_, sum, count)) => {
                *sum += value;
                *count += 1.0;
            }
            None => sums.push((name.clone(), *value, 1.0)),
        }
    }
    let mean = |(name, sum, count)| (name, sum / count);
    sums.into_iter().map(mean).collect()
}
