//! One process's work on a run: batches in, steps, metrics and checkpoints out.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use candle_core::Device;
use serde::Deserialize;
use simclr_checkpoint::CheckpointFile;
use simclr_collective::Collective;
use simclr_data::{Dataset, ViewLoader};
use simclr_model::GradientCheckpointing;
use simclr_progress::{Progress, Silent, Stage, StepUpdate};

use crate::callback::{Callback, Control, EpochMetrics, SessionStart};
use crate::completed_run::{CompletedRun, Throughput};
use crate::error::{Error, Result};
use crate::health::{
    COLLAPSED_RANK, EFFECTIVE_RANK, LONG_ENOUGH, MOST_SKIPPED, OnNan, STARVED, has_diverged,
    is_chance, not_finite,
};
use crate::memory::MemoryEstimate;
use crate::objective::{Metric, TrainingBatch, negative_mask};
use crate::ranks::leader::share_control;
use crate::ranks::state::{share, share_state};
use crate::resume::{KeptNetwork, METRICS, Resumption};
use crate::run::{Checkpoints, MetricsLog, MetricsTable, Notices, RunFolder};
use crate::trainer::{StepMetrics, Trainer};

/// Gives the values of a run's extra columns after each epoch. One that is not finite means that
/// the training has diverged.
pub(crate) type EpochHook<'a> = dyn FnMut(&Trainer) -> Result<Vec<Metric>> + 'a;

/// How a run is carried out. Nothing here changes its result but by rounding, if its losses are
/// finite and batch norms global.
#[derive(Debug, Clone)]
pub(crate) struct RunOptions {
    pub(crate) device: Device,
    pub(crate) gradient_checkpointing: GradientCheckpointing,
    pub(crate) checkpoint_epochs: NonZeroUsize,
    pub(crate) checkpoint_steps: Option<NonZeroUsize>,
    pub(crate) checkpoint_interval: Duration,
    pub(crate) keep_checkpoints: NonZeroUsize,
    pub(crate) kept_network: KeptNetwork,
    pub(crate) cache_bytes: u64,
    pub(crate) on_nan: OnNan,
    /// Those that each have a part of every batch, if there are several.
    pub(crate) ranks: Option<Arc<dyn Collective>>,
    /// Whether batch norms take their statistics over the batches of all ranks.
    pub(crate) global_batch_norm: bool,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            gradient_checkpointing: GradientCheckpointing::default(),
            checkpoint_epochs: NonZeroUsize::MIN,
            checkpoint_steps: None,
            checkpoint_interval: Duration::from_secs(600),
            keep_checkpoints: NonZeroUsize::new(5).unwrap_or(NonZeroUsize::MIN),
            kept_network: KeptNetwork::Last,
            cache_bytes: 2 << 30,
            on_nan: OnNan::default(),
            ranks: None,
            global_batch_norm: true,
        }
    }
}

/// An opened run folder, the loader and the trainer, at the step where this session begins.
pub(crate) struct TrainingRun {
    folder: RunFolder,
    checkpoints: Checkpoints,
    last_checkpoint: Instant,
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
    /// As it was when the epoch began.
    epoch_start: Throughput,
    notices: Notices,
    /// The images of the step under way.
    batch_indices: Vec<usize>,
    /// The loss of the run's first step, once that is taken.
    first_loss: Option<f64>,
    /// Steps left out, one after the other.
    skipped: usize,
    /// Whether a notice says so.
    is_starved: bool,
    stopped_early: bool,
    is_finished: bool,
}

/// What all results say.
#[derive(Deserialize)]
struct Finished {
    steps: usize,
    #[serde(default)]
    stopped_early: bool,
}

impl TrainingRun {
    /// Goes to the folder's newest checkpoint that can be used.
    pub(crate) fn open(
        folder: RunFolder,
        columns: &[&'static str],
        loader: ViewLoader,
        mut trainer: Trainer,
        total_steps: usize,
        options: RunOptions,
        callbacks: Vec<Arc<Mutex<dyn Callback>>>,
    ) -> Result<Self> {
        let checkpoints = folder.checkpoints(options.keep_checkpoints)?;
        let resumption = Resumption {
            folder: &folder,
            checkpoints: &checkpoints,
            columns,
            device: &options.device,
            kept: options.kept_network,
        };
        let metrics = resumption.go_to_newest(&mut trainer)?;
        let taken = trainer.steps_taken() as usize;
        let finished: Option<Finished> = folder.result()?;
        // A finished run is not gone on with, also if it was stopped early.
        let finished = finished.filter(|result| result.steps >= taken);
        let total_steps = finished.as_ref().map_or(total_steps, |result| result.steps);
        let epoch_ends = epoch_ends(&loader, total_steps);
        let epoch_start = epoch_ends.iter().rfind(|&&end| end <= taken);
        let table = MetricsTable::read(metrics.path())?;
        let epoch_rows = rows_after(&table, epoch_start.copied().unwrap_or(0));
        let losses = table.series("total_loss")?;
        Ok(Self {
            notices: folder.notices(taken as u64)?,
            first_loss: losses.first().map(|(_, loss)| *loss),
            batch_indices: Vec::new(),
            skipped: 0,
            is_starved: false,
            epoch_start: Throughput::default(),
            folder,
            checkpoints,
            last_checkpoint: Instant::now(),
            epoch_ends,
            metrics,
            loader,
            trainer,
            options,
            progress: Box::new(Silent),
            callbacks,
            epoch_rows,
            throughput: Throughput::default(),
            stopped_early: finished.as_ref().is_some_and(|result| result.stopped_early),
            is_finished: finished.is_some(),
        })
    }

    /// Begins to show progress, and how much memory the run will take.
    pub(crate) fn with_progress(
        mut self,
        stage: Stage,
        memory: Option<MemoryEstimate>,
        start: &dyn Fn(Stage) -> Box<dyn Progress>,
    ) -> Self {
        self.progress = start(stage.resumed_after(self.trainer.steps_taken()));
        if let Some(memory) = memory {
            self.progress.note(&format!("memory: about {memory}"));
        }
        self
    }

    /// Where the run's network belongs.
    pub(crate) fn model_file(&self) -> PathBuf {
        self.folder.model_file()
    }

    /// The rows of `metrics.csv` up to where this session begins.
    pub(crate) fn metrics_so_far(&self) -> Result<MetricsTable> {
        MetricsTable::read(self.metrics.path())
    }

    /// Takes the steps that are left; `after_epoch` gives the values of the extra columns.
    pub(crate) fn run(mut self, after_epoch: &mut EpochHook<'_>) -> Result<CompletedRun> {
        let first = self.trainer.steps_taken() as usize;
        let last = self.epoch_ends.last().copied().unwrap_or(0);
        if first < last {
            let (dir, steps) = (self.folder.dir(), first as u64);
            self.ask(|callback| callback.on_start(&SessionStart { dir, steps }))
                .collect::<Result<()>>()?;
        }
        let ranks = self.trainer.ranks().cloned();
        if let Some(ranks) = &ranks {
            share_state(ranks.as_ref(), &mut self.trainer)?;
            share(ranks.as_ref(), Some(&(first, last)))?;
        }
        let images = self.loader.config().batch_size;
        let mut batches = self.loader.batches(first..last)?;
        loop {
            let began = Instant::now();
            let Some(batch) = batches.next() else { break };
            let waited = began.elapsed();
            let batch = batch?.to_device(&self.options.device)?;
            let dataset = self.loader.dataset();
            let labels: Vec<_> = batch.indices.iter().map(|&i| dataset.label(i)).collect();
            self.batch_indices.clone_from(&batch.indices);
            let mask = negative_mask(&batch, images)?;
            let training_batch = TrainingBatch {
                negative_mask: mask.as_ref(),
                ..TrainingBatch::new(&batch.views, &labels)
            };
            self.ask(|callback| callback.on_batch(&training_batch))
                .for_each(drop);
            let metrics = self.step(&training_batch)?;
            self.throughput.images += images;
            self.throughput.elapsed += began.elapsed();
            self.throughput.waited += waited;
            let mut control =
                self.after_step(batch.epoch, images, waited, &metrics, after_epoch)?;
            if let Some(ranks) = &ranks {
                control = share_control(ranks.as_ref(), control)?;
            }
            match control {
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
            is_finished: self.is_finished,
            device: self.options.device,
        })
    }

    /// Takes a step, and looks at its loss.
    fn step(&mut self, batch: &TrainingBatch<'_>) -> Result<StepMetrics> {
        let metrics = match self.options.on_nan {
            OnNan::Stop => self.trainer.step_batch(batch),
            OnNan::Skip => self.trainer.step_or_skip(batch),
        };
        let metrics = match metrics {
            Err(Error::NotFinite { step, loss }) => {
                return Err(self.diverged(step + 1, format!("the loss is {loss}"))?);
            }
            metrics => metrics?,
        };
        let (step, loss) = (metrics.step + 1, metrics.total_loss);
        if !loss.is_finite() {
            self.skipped += 1;
            if self.skipped == MOST_SKIPPED {
                let reason = format!("the losses of {MOST_SKIPPED} steps in a row are not finite");
                return Err(self.diverged(step, reason)?);
            }
            let images = self.batch_images().join(", ");
            let text = format!("the loss was {loss}; images: {images}");
            self.notices.add(step, "step left out", text)?;
            return Ok(metrics);
        }
        self.skipped = 0;
        let first = *self.first_loss.get_or_insert(loss);
        if has_diverged(loss, first) {
            let reason =
                format!("the loss is {loss:.3e}, and that of the first step was {first:.3}");
            return Err(self.diverged(step, reason)?);
        }
        Ok(metrics)
    }

    /// The names of the images of the step under way.
    fn batch_images(&self) -> Vec<String> {
        let dataset = self.loader.dataset();
        let indices = self.batch_indices.iter();
        indices.map(|&index| dataset.name(index)).collect()
    }

    fn diverged(&self, step: u64, reason: String) -> Result<Error> {
        Ok(Error::Diverged {
            step,
            reason,
            learning_rate: self.trainer.learning_rate(step.saturating_sub(1)),
            images: self.batch_images(),
            checkpoint: self.checkpoints.list()?.pop().map(|newest| newest.path),
        })
    }

    /// What a checkpoint holds. Fails if a number of the network or of the optimizer is not finite.
    fn finite_state(&self) -> Result<CheckpointFile> {
        let state = self.trainer.checkpoint()?;
        match not_finite(&state.tensors)? {
            None => Ok(state),
            Some(name) => {
                let reason = format!("`{name}` has a number that is not finite");
                Err(self.diverged(self.trainer.steps_taken(), reason)?)
            }
        }
    }

    /// Adds a notice about the run as it is now.
    pub(crate) fn notice(&mut self, subject: &str, text: impl Into<String>) -> Result<()> {
        self.notices.add(self.trainer.steps_taken(), subject, text)
    }

    /// Looks for signs of collapse in an epoch, and of a loader that is too slow.
    fn look_at(&mut self, epoch: &EpochMetrics) -> Result<()> {
        const ADVICE: &str = "try a smaller learning rate or more epochs of warm-up, and see \
                              whether the images are all alike";
        let batch = self.loader.config().batch_size as f64;
        let images = self.loader.dataset().len() as f64;
        if !self.trainer.is_warming_up() {
            if let Some(accuracy) = epoch.get("contrast_accuracy")
                && is_chance(accuracy, batch, images.max(batch))
            {
                let text = format!(
                    "views find their partners in {:.2} % of the cases, and by chance it would be \
                     {:.2} %; {ADVICE}",
                    100.0 * accuracy,
                    100.0 / batch
                );
                self.notice("collapse", text)?;
            }
            if let Some(rank) = epoch.get(EFFECTIVE_RANK)
                && rank < COLLAPSED_RANK
            {
                let text = format!(
                    "the embeddings of different images hardly differ, their effective rank is \
                     {rank:.2}; {ADVICE}"
                );
                self.notice("collapse", text)?;
            }
        }
        let share = self.throughput.since(&self.epoch_start).waiting_share();
        let long_enough = self.throughput.elapsed > LONG_ENOUGH;
        self.epoch_start = self.throughput;
        if share > STARVED && long_enough && !self.is_starved {
            self.is_starved = true;
            let text = format!(
                "the network waited for images in {:.0} % of the epoch; keep more decoded images \
                 in memory (`cache_bytes`, --cache-mib, now {} MiB), make the files smaller, or \
                 leave the loader more processor cores",
                100.0 * share,
                self.options.cache_bytes >> 20
            );
            self.notice("slow loader", text)?;
        }
        Ok(())
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
        let answers = self.ask(|callback| callback.on_step(metrics));
        let mut control = answers.max().unwrap_or_default();
        if control == Control::Stop {
            self.end_at(steps as usize);
        }
        let ended = self.epoch_ends.binary_search(&(steps as usize)).ok();
        let mut row = row(epoch, metrics);
        let mut state = None;
        if ended.is_some() {
            state = Some(self.finite_state()?);
            let after = after_epoch(&self.trainer)?;
            if let Some((name, _)) = after.iter().find(|(_, value)| !value.is_finite()) {
                let reason = format!("after the epoch, {name} is not a finite number");
                return Err(self.diverged(steps, reason)?);
            }
            row.extend(after);
        }
        row.retain(|(_, value)| value.is_finite());
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
        let every = self.options.checkpoint_steps;
        let mut is_checkpoint_due = every
            .is_some_and(|every| steps.is_multiple_of(every.get() as u64))
            || self.last_checkpoint.elapsed() >= self.options.checkpoint_interval;
        if let Some(index) = ended {
            let epoch = EpochMetrics {
                epoch: index + 1,
                steps,
                values: means(&std::mem::take(&mut self.epoch_rows)),
            };
            self.look_at(&epoch)?;
            let answers = self.ask(|callback| callback.on_epoch(&epoch));
            control = control.max(answers.max().unwrap_or_default());
            if control == Control::Stop {
                self.end_at(steps as usize);
            }
            let every = self.options.checkpoint_epochs.get();
            is_checkpoint_due |=
                epoch.epoch.is_multiple_of(every) || epoch.epoch == self.epoch_ends.len();
        }
        if is_checkpoint_due || control == Control::Pause {
            self.checkpoint(state)?;
        }
        Ok(control)
    }

    /// The epoch under way is the last one, and ends after this step.
    fn end_at(&mut self, step: usize) {
        self.stopped_early |= self.epoch_ends.last().is_some_and(|&last| last > step);
        self.epoch_ends.retain(|&end| end < step);
        self.epoch_ends.push(step);
    }

    /// The answers of all callbacks.
    fn ask<A>(&self, mut answer: impl FnMut(&mut dyn Callback) -> A) -> impl Iterator<Item = A> {
        self.callbacks.iter().map(move |callback| {
            let mut callback = callback.lock().unwrap_or_else(PoisonError::into_inner);
            answer(&mut *callback)
        })
    }

    /// Saves the state, if it is there already, or the one now.
    fn checkpoint(&mut self, state: Option<CheckpointFile>) -> Result<()> {
        self.metrics.sync()?;
        let position = serde_json::to_value(self.metrics.position());
        let position = position.map_err(Error::json(self.metrics.path()))?;
        let mut file = state.map_or_else(|| self.finite_state(), Ok)?;
        file.metadata = file.metadata.with_extra(METRICS, position);
        self.checkpoints
            .save(self.trainer.steps_taken(), |path| Ok(file.save(path)?))?;
        self.last_checkpoint = Instant::now();
        Ok(())
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
fn rows_after(table: &MetricsTable, step: usize) -> Vec<Vec<(String, f64)>> {
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
    rows.map(cells).collect()
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
