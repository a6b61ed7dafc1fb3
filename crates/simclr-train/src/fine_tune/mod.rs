//! Fine-tuning with labels: SimCLRv2's second step, and supervised training.

mod config;
mod outcome;
mod validation;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use serde::Serialize;
use simclr_augment::Policy;
use simclr_checkpoint::load_model;
use simclr_data::{Dataset, DatasetExt, LastBatch, LoaderConfig, Seed, Split, Subset, ViewLoader};
use simclr_model::{Freeze, Parameters, SimClr};

pub use config::{FineTuneConfig, HeadStart};
use outcome::Evaluation;
pub use outcome::{FineTuneEpoch, FineTuneResult};
use validation::{Validation, best_step};

use crate::classifier::{BATCH_SIZE, NetworkClassifier, classifier_scores, values_digest};
use crate::features::dataset_facts;
use crate::metrics::ClassificationReport;
use crate::run::{ProgressMode, RunFacts};
use crate::schedule::WarmupCosine;
use crate::session::{Finished, Plan, Session, SessionOptions};
use crate::trainer::{Objective, Trainer};
use crate::{Error, Result};

/// The columns of `metrics.csv`, after the step.
const COLUMNS: [&str; 9] = [
    "epoch",
    "learning_rate",
    "total_loss",
    "supervised_loss",
    "supervised_accuracy",
    "weight_decay",
    validation::LOSS,
    validation::ACCURACY,
    validation::WEIGHTED_F1,
];

/// A training on labels to be: of a pretrained network, whole or behind its frozen part, or
/// of an untrained one.
///
/// The cross-entropy of the supervised head is minimised, with gradients into everything
/// that is not frozen. The head stands on the level of the projection head that
/// [`projection_layer`](Self::projection_layer) names. After each epoch the validation
/// images are looked at; the network of the best epoch is the result and is judged on the
/// test images, once.
///
/// Three things are easily confused: *fine-tuning* (this) changes the encoder; *linear
/// evaluation* ([`LinearProbe`](crate::evaluation::LinearProbe)) trains a classifier on
/// [`Features`](crate::Features) of an encoder that stays as it is; *freezing* a part
/// ([`Freeze`]) lies between the two.
///
/// ```no_run
/// use candle_core::Device;
/// use simclr_data::{DatasetExt, Fractions, ImageFolder, Seed};
/// use simclr_model::Freeze;
/// use simclr_train::FineTune;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let split = ImageFolder::labelled("labelled/")?.split(Fractions::small_train(), Seed(1))?;
/// let pretrained = simclr_checkpoint::load_model("runs/cores/model.safetensors", &Device::Cpu)?;
/// let run = FineTune::network(&pretrained.model)?
///     .image_size(64).projection_layer(1).freeze(Freeze::AfterBlock(2)).epochs(30)
///     .run(&split, "runs/fine-tuned")?;
/// println!("{}", run.result);
///
/// // The same labels without pretraining, to compare with:
/// let run = FineTune::supervised(18).image_size(64).run(&split, "runs/supervised")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct FineTune {
    config: FineTuneConfig,
    start: Option<Parameters>,
    options: SessionOptions,
}

/// A finished fine-tuning.
#[derive(Debug)]
pub struct FineTuneRun {
    /// The network of the best epoch, ready to classify.
    pub classifier: NetworkClassifier,
    /// What was measured, also in `result.json`.
    pub result: FineTuneResult,
    /// The run folder.
    pub dir: PathBuf,
    /// The network of the best epoch in the run folder, heads included.
    pub model_file: PathBuf,
}

/// What `config.json` holds: the settings, and which network the run started from.
#[derive(Serialize)]
struct Recorded<'a> {
    #[serde(flatten)]
    config: &'a FineTuneConfig,
    start: Option<String>,
}

impl FineTune {
    /// A run with these settings, of a network that starts at random.
    pub fn new(config: FineTuneConfig) -> Self {
        Self {
            config,
            start: None,
            options: SessionOptions::default(),
        }
    }

    /// Fine-tunes this network, with the authors' settings for few labels.
    ///
    /// # Errors
    /// None are known: a network's parameters have distinct names.
    pub fn network(model: &SimClr) -> Result<Self> {
        let config = FineTuneConfig {
            encoder: model.config().encoder.clone(),
            projection_head: model.config().projection_head.clone(),
            ..FineTuneConfig::default()
        };
        Ok(Self::new(config).start_from(model.store()?))
    }

    /// Supervised training of an untrained network of this depth:
    /// [`FineTuneConfig::supervised`].
    pub fn supervised(depth: usize) -> Self {
        Self::new(FineTuneConfig::supervised(depth))
    }

    /// Side of the square views in pixels. Default: 224. A network to start from keeps its
    /// stem; an untrained one gets the CIFAR stem for 32 pixels and less.
    pub fn image_size(mut self, size: usize) -> Self {
        self.config = match self.start {
            Some(_) => self.config.with_view_size(size),
            None => self.config.with_image_size(size),
        };
        self
    }

    /// Images per step. Default: 64, in [supervised training](Self::supervised) 256.
    pub fn batch_size(mut self, images: usize) -> Self {
        self.config.batch_size = images;
        self
    }

    /// Passes over the training images. Default: 60, in supervised training 100.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.config.schedule.epochs = epochs;
        self
    }

    /// The seed of initial weights, order and views. Default: 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.config.seed = seed;
        self
    }

    /// Leaves a part of the encoder as it is. Default: nothing.
    pub fn freeze(mut self, freeze: Freeze) -> Self {
        self.config.freeze = freeze;
        self
    }

    /// On which level of the projection head the supervised head stands
    /// (`ft_proj_selector`): 0 is the encoder's output, k the output of layer k, -1 that of
    /// the last layer. Default: 0, or what the network to start from says.
    pub fn projection_layer(mut self, level: i64) -> Self {
        self.config.projection_head.ft_proj_selector = level;
        self
    }

    /// Starts from these parameters instead of random ones. The encoder must be complete;
    /// of the heads what is among them is taken, the supervised one only if asked for with
    /// [`HeadStart::Given`].
    pub fn start_from(mut self, parameters: Parameters) -> Self {
        self.start = Some(parameters);
        self
    }

    /// Where the network lives. Default: the CPU.
    pub fn device(mut self, device: Device) -> Self {
        self.options.device = device;
        self
    }

    /// How the run is shown. Default: not at all.
    pub fn progress(mut self, progress: ProgressMode) -> Self {
        self.options.progress = progress;
        self
    }

    /// Epochs between checkpoints; the last epoch always has one. Default: 1.
    pub fn checkpoint_epochs(mut self, epochs: NonZeroUsize) -> Self {
        self.options.checkpoint_epochs = epochs;
        self
    }

    /// How many of the newest checkpoints are kept. Default: 5.
    pub fn keep_checkpoints(mut self, keep: NonZeroUsize) -> Self {
        self.options.keep_checkpoints = keep;
        self
    }

    /// Memory for decoded images that are kept from epoch to epoch, for training and for
    /// validation images each. Default: 2 GiB.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.options.cache_bytes = bytes;
        self
    }

    /// The settings.
    pub fn config(&self) -> &FineTuneConfig {
        &self.config
    }

    /// Runs, or goes on where an interrupted run in `dir` stopped. A finished run is not
    /// repeated: its outcome is read back.
    ///
    /// The parts for validation and test may be empty: then the last epoch counts as the
    /// best, and there is no test report.
    ///
    /// # Errors
    /// Settings out of range; a training or evaluation image without a label; parts with
    /// other classes; a batch larger than the training part; a network to start from that
    /// does not fit; a folder that holds another run; an image that cannot be read; a loss
    /// that is no longer finite.
    pub fn run(&self, split: &Split<Subset>, dir: impl Into<PathBuf>) -> Result<FineTuneRun> {
        self.config.validate()?;
        check_labels(split)?;
        let classes = split.train.class_names().len();
        let start = self.start.as_ref().map(parameters_digest).transpose()?;
        let session = Session::open(Plan {
            stage: "fine-tuning",
            dir: dir.into(),
            config: &Recorded {
                config: &self.config,
                start,
            },
            facts: facts(self.config.seed, split),
            columns: &COLUMNS,
            epochs: self.config.schedule.epochs,
            loader: self.loader(split.train.shared())?,
            trainer: self.trainer(classes, split.train.len())?,
            options: &self.options,
        })?;
        let mut work = Validation {
            images: self.evaluation_loader(&split.validation)?,
            best: best_step(&session.metrics_so_far()?)?.map(|(_, accuracy)| accuracy),
            model_file: session.model_file(),
        };
        let outcome = session.run(&mut work)?.record(
            |finished| {
                let evaluation = self.evaluate(finished, split)?;
                FineTuneResult::new(finished, split, evaluation)
            },
            FineTuneResult::summary,
        )?;
        Ok(FineTuneRun {
            classifier: NetworkClassifier::load(&outcome.model_file, &self.options.device)?,
            result: outcome.result,
            dir: outcome.dir,
            model_file: outcome.model_file,
        })
    }

    fn loader(&self, images: Arc<dyn Dataset>) -> Result<ViewLoader> {
        let config = LoaderConfig {
            batch_size: self.config.batch_size,
            views: 1,
            seed: Seed(self.config.seed),
            last_batch: LastBatch::Straddle,
            cache_bytes: self.options.cache_bytes,
            ..LoaderConfig::default()
        };
        Ok(ViewLoader::new(images, self.config.policy.clone(), config)?)
    }

    /// The images as they are evaluated; `None` if there are none.
    fn evaluation_loader(&self, images: &Subset) -> Result<Option<ViewLoader>> {
        if images.is_empty() {
            return Ok(None);
        }
        let config = LoaderConfig {
            cache_bytes: self.options.cache_bytes,
            ..LoaderConfig::evaluation(BATCH_SIZE)
        };
        let policy: Policy = self.config.evaluation.clone();
        Ok(Some(ViewLoader::new(images.shared(), policy, config)?))
    }

    fn trainer(&self, classes: usize, images: usize) -> Result<Trainer> {
        let config = &self.config;
        let model = config.model(classes);
        let specs = model.parameter_specs()?;
        let parameters = Parameters::initialize(&specs, config.seed, &self.options.device)?;
        if let Some(start) = &self.start {
            let given = config.head == HeadStart::Given;
            let wanted = |name: &str| given || !name.starts_with("supervised_head.");
            let chosen = start.iter().filter(|(name, _)| wanted(name));
            let chosen = chosen.map(|(name, variable)| (name.to_owned(), variable.clone()));
            crate::pretrain::start_from(&parameters, &Parameters::from_variables(chosen)?)?;
        }
        let mut model = SimClr::new(&model, parameters.var_builder())?;
        model.set_freeze(config.freeze)?;
        Trainer::new(
            model,
            Objective::FineTune,
            &config.optimizer,
            config.weight_decay,
            WarmupCosine::new(&config.schedule, images, config.batch_size)?,
        )
    }

    /// Judges the network of the best epoch, which is in the run's file.
    fn evaluate(&self, finished: &Finished, split: &Split<Subset>) -> Result<Evaluation> {
        let last = finished.trainer.steps_taken();
        let best = best_step(&finished.metrics)?.map_or(last, |(step, _)| step);
        let epoch = finished.epoch_ends.binary_search(&(best as usize));
        let classifier = self.best_network(&finished.model_file(), best)?;
        let (validation, _) = self.judge(&classifier, &split.validation)?;
        let (test, test_scores) = self.judge(&classifier, &split.test)?;
        Ok(Evaluation {
            best_epoch: epoch.map_or(finished.epoch_ends.len(), |index| index + 1),
            validation,
            test,
            test_scores,
        })
    }

    fn best_network(&self, path: &Path, step: u64) -> Result<NetworkClassifier> {
        let loaded = load_model(path, &self.options.device)?;
        let found = loaded.metadata.source.and_then(|source| source.global_step);
        if found != i64::try_from(step).ok() {
            return Err(Error::RunFile {
                path: path.to_owned(),
                reason: format!(
                    "is the network after {}, expected that of the best epoch, after {step} steps",
                    found.map_or("an unknown step".into(), |step| format!("{step} steps"))
                ),
            });
        }
        NetworkClassifier::new(loaded.model)
    }

    /// The report and the logits of a part; nothing for an empty one.
    fn judge(
        &self,
        classifier: &NetworkClassifier,
        images: &Subset,
    ) -> Result<(Option<ClassificationReport>, Vec<f32>)> {
        let Some(loader) = self.evaluation_loader(images)? else {
            return Ok((None, Vec::new()));
        };
        let labels = images.labels("an evaluation")?;
        let scores = classifier_scores(classifier, &loader)?;
        let report = ClassificationReport::new(&scores, &labels, images.class_names())?;
        Ok((Some(report), scores))
    }
}

/// Every image has a label, and all parts have the same classes.
fn check_labels(split: &Split<Subset>) -> Result<()> {
    let classes = split.train.class_names();
    if classes.is_empty() {
        return Err(Error::NoLabels {
            missing: "images with classes",
        });
    }
    for (name, part) in parts(split) {
        if part.class_names() != classes {
            return Err(Error::setting(
                name,
                format!(
                    "the classes of the training images ({})",
                    classes.join(", ")
                ),
                part.class_names().join(", "),
            ));
        }
        part.labels("fine-tuning")?;
    }
    Ok(())
}

fn parts(split: &Split<Subset>) -> [(&'static str, &Subset); 3] {
    [
        ("classes of the training images", &split.train),
        ("classes of the validation images", &split.validation),
        ("classes of the test images", &split.test),
    ]
}

fn facts(seed: u64, split: &Split<Subset>) -> RunFacts {
    RunFacts::default()
        .seed("run", seed)
        .dataset("train", dataset_facts("images", &split.train))
        .dataset("validation", dataset_facts("images", &split.validation))
        .dataset("test", dataset_facts("images", &split.test))
}

fn parameters_digest(parameters: &Parameters) -> Result<String> {
    let named = parameters.iter();
    values_digest(named.map(|(name, variable)| (name, variable.as_tensor())))
}
