//! One process's work on a pretraining run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use simclr_data::{Dataset, LastBatch, LoaderConfig, Seed, ViewLoader};
use simclr_model::{Parameters, SimClr};

use super::{EpochSummary, Pretrain, PretrainResult, PretrainRun};
use crate::features::dataset_facts;
use crate::run::{
    Checkpoints, MetricsLog, MetricsTable, Progress, RunFacts, RunFolder, Stage, StepUpdate,
};
use crate::schedule::WarmupCosine;
use crate::trainer::{Objective, StepMetrics, Trainer};
use crate::{Result, state};

/// The columns of `metrics.csv`, after the step. Nothing in it depends on the
/// clock: a resumed run leaves the same file as an uninterrupted one.
const COLUMNS: [&str; 9] = [
    "epoch",
    "learning_rate",
    "total_loss",
    "contrast_loss",
    "contrast_accuracy",
    "contrast_entropy",
    "supervised_loss",
    "supervised_accuracy",
    "weight_decay",
];

/// The trained network in the run folder.
const MODEL_FILE: &str = "model.safetensors";

/// An opened run folder, the loader and the trainer, at the step where this session begins.
pub(super) struct Session<'a> {
    settings: &'a Pretrain,
    images: Arc<dyn Dataset>,
    folder: RunFolder,
    checkpoints: Checkpoints,
    metrics: MetricsLog,
    loader: ViewLoader,
    trainer: Trainer,
    progress: Box<dyn Progress>,
}

/// How long the steps of this session took, and how much of it was waiting.
#[derive(Default)]
struct Pace {
    views: usize,
    elapsed: Duration,
    waited: Duration,
}

impl<'a> Session<'a> {
    pub(super) fn open(
        settings: &'a Pretrain,
        images: Arc<dyn Dataset>,
        dir: PathBuf,
    ) -> Result<Self> {
        let config = &settings.config;
        let loader = ViewLoader::new(
            images.clone(),
            config.policy.clone(),
            LoaderConfig {
                batch_size: config.batch_size,
                seed: Seed(config.seed),
                last_batch: LastBatch::Straddle,
                cache_bytes: settings.cache_bytes,
                ..LoaderConfig::default()
            },
        )?;
        let mut trainer = Trainer::new(
            initial_model(settings, images.class_names().len())?,
            Objective::Pretrain(config.loss),
            &config.optimizer,
            config.weight_decay,
            WarmupCosine::new(&config.schedule, images.len(), config.batch_size)?,
        )?;

        let facts = RunFacts::default()
            .seed("run", config.seed)
            .dataset("unlabelled", dataset_facts("images", images.as_ref()));
        let folder = RunFolder::open(dir, config, &facts)?;
        let checkpoints = folder.checkpoints(settings.keep_checkpoints)?;
        if let Some(latest) = checkpoints.latest()? {
            state::restore_training(&latest.path, &mut trainer, &settings.device)?;
        }
        let metrics = folder.metrics(&COLUMNS, Some(trainer.steps_taken()))?;
        let total = loader.steps(config.schedule.epochs) as u64;
        let stage = Stage::new("pretraining", total).resumed_after(trainer.steps_taken());
        let progress = settings.progress.start(stage);
        Ok(Self {
            settings,
            images,
            folder,
            checkpoints,
            metrics,
            loader,
            trainer,
            progress,
        })
    }

    /// The steps that are left, and the outcome.
    pub(super) fn run(mut self) -> Result<PretrainRun> {
        let epochs = self.settings.config.schedule.epochs;
        let every = self.settings.checkpoint_epochs.get();
        let checkpoints: Vec<usize> = (1..=epochs)
            .filter(|epoch| epoch.is_multiple_of(every) || *epoch == epochs)
            .map(|epoch| self.loader.steps(epoch))
            .collect();
        let first = self.trainer.steps_taken() as usize;
        let mut pace = Pace::default();
        let mut batches = self.loader.batches(first..self.loader.steps(epochs))?;
        loop {
            let began = Instant::now();
            let Some(batch) = batches.next() else { break };
            let waited = began.elapsed();
            let batch = batch?.to_device(&self.settings.device)?;
            let metrics = self.trainer.step(&batch.views, batch.labels.as_ref())?;
            self.metrics
                .append(self.trainer.steps_taken(), &row(batch.epoch, &metrics))?;
            self.progress.step(&StepUpdate {
                images: batch.len(),
                loss: metrics.contrast.map(|contrast| contrast.loss),
                learning_rate: Some(metrics.learning_rate),
                waited,
            });
            pace.views += 2 * batch.len();
            pace.elapsed += began.elapsed();
            pace.waited += waited;
            if checkpoints.contains(&(self.trainer.steps_taken() as usize)) {
                self.checkpoint()?;
            }
        }
        drop(batches);
        self.finish(&pace)
    }

    fn checkpoint(&self) -> Result<()> {
        self.metrics.sync()?;
        let step = self.trainer.steps_taken();
        self.checkpoints
            .save(step, |path| state::save_training(path, &self.trainer))?;
        Ok(())
    }

    fn finish(mut self, pace: &Pace) -> Result<PretrainRun> {
        let dir = self.folder.dir().to_owned();
        let model_file = dir.join(MODEL_FILE);
        let result = match self.folder.result()? {
            // Nothing was left to do: the outcome on record stands.
            Some(result) if pace.views == 0 => result,
            _ => {
                let result = self.result(pace)?;
                state::save_trained(&model_file, &self.trainer)?;
                self.folder.write_result(&result)?;
                result
            }
        };
        if result.collapsed {
            tracing::warn!(
                "the contrastive loss is that of a network that tells no image from another; \
                 try a smaller learning rate, or more warm-up"
            );
        }
        self.progress.finish(&result.summary());
        let encoder = self.trainer.model().encoder().frozen();
        Ok(PretrainRun {
            encoder,
            result,
            dir,
            model_file,
        })
    }

    fn result(&self, pace: &Pace) -> Result<PretrainResult> {
        let config = &self.settings.config;
        let epochs = EpochSummary::all(&MetricsTable::read(self.metrics.path())?)?;
        let seconds = pace.elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        let loss = epochs.last().map_or(0.0, |epoch| epoch.contrast_loss);
        Ok(PretrainResult {
            images: self.images.len(),
            steps: self.trainer.steps_taken(),
            views_per_second: pace.views as f64 / seconds,
            waiting_share: pace.waited.as_secs_f64() / seconds,
            collapsed: config.loss.looks_collapsed(loss, config.batch_size),
            epochs,
        })
    }
}

/// Seeded parameters, or the given ones where there are any.
pub(super) fn initial_model(settings: &Pretrain, num_classes: usize) -> Result<SimClr> {
    let config = &settings.config;
    let model = config.model(num_classes);
    let specs = model.parameter_specs()?;
    let parameters = Parameters::initialize(&specs, config.seed, &settings.device)?;
    if let Some(start) = &settings.start {
        start_from(&parameters, start)?;
    }
    let mut model = SimClr::new(&model, parameters.var_builder())?;
    model.set_freeze(config.freeze)?;
    Ok(model)
}

/// The whole encoder from `start`; the heads as far as they fit.
pub(crate) fn start_from(parameters: &Parameters, start: &Parameters) -> Result<()> {
    let is_encoder = |name: &str| name.starts_with("encoder.");
    let ours = parameters.iter().filter(|(name, _)| is_encoder(name));
    let ours = ours.map(|(name, variable)| (name.to_owned(), variable.clone()));
    let (encoder, heads): (Vec<_>, Vec<_>) = start
        .iter()
        .map(|(name, variable)| (name, variable.as_tensor()))
        .partition(|(name, _)| is_encoder(name));
    Parameters::from_variables(ours)?.load(encoder)?;
    parameters.load_matching(heads)?;
    Ok(())
}

fn row(epoch: usize, metrics: &StepMetrics) -> Vec<(&'static str, f64)> {
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
    if let Some(supervised) = metrics.supervised {
        row.push(("supervised_loss", supervised.loss));
        row.push(("supervised_accuracy", supervised.accuracy));
    }
    row
}
