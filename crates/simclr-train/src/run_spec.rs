//! The builder that pretraining, fine-tuning and distillation share.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use candle_core::Device;
use serde::Serialize;
use serde_json::{Value, json};
use simclr_augment::Augmentation;
use simclr_data::{Dataset, LastBatch, LoaderConfig, Seed, Shard, ViewLoader};
use simclr_eval::values_digest;
use simclr_kernels::KernelOptions;
use simclr_model::{GradientCheckpointing, Parameters, SimClr};
use simclr_optim::{NamedVariable, Optimizer, WarmupCosine};
use simclr_progress::{Progress, ProgressMode, Stage};

use crate::callback::Callback;
use crate::config::LoopConfig;
use crate::error::{Error, Result};
use crate::health::OnNan;
use crate::identity;
use crate::images::check_labels;
use crate::memory::MemoryEstimate;
use crate::objective::Objective;
use crate::ranks::agreement::check_agreement;
use crate::resume::KeptNetwork;
use crate::run::{RESULT, RunFacts, RunFolder, arithmetic};
use crate::trainer::Trainer;
use crate::training_run::{RunOptions, TrainingRun};

type OptimizerFactory =
    dyn Fn(Vec<NamedVariable>) -> simclr_optim::Result<Box<dyn Optimizer>> + Send + Sync;
type ProgressFactory = dyn Fn(Stage) -> Box<dyn Progress> + Send + Sync;

/// Builder for a training run: configuration, initial weights, and whatever of the loop's parts
/// is the caller's own.
///
/// [`Pretrain`](crate::Pretrain), [`FineTune`](crate::FineTune) and [`Distill`](crate::Distill)
/// are this with a configuration each; their `run` methods carry it out.
#[derive(Clone)]
#[must_use]
pub struct RunSpec<C> {
    pub(crate) config: C,
    pub(crate) initial_weights: Option<Parameters>,
    pub(crate) options: RunOptions,
    pub(crate) objective: Option<Arc<dyn Objective>>,
    optimizer: Option<Arc<OptimizerFactory>>,
    pub(crate) augmentation: Option<Arc<dyn Augmentation>>,
    progress: Arc<ProgressFactory>,
    callbacks: Vec<Arc<Mutex<dyn Callback>>>,
}

/// What a run learns from.
pub(crate) struct TrainingInputs {
    pub(crate) images: Arc<dyn Dataset>,
    pub(crate) num_classes: usize,
    pub(crate) facts: RunFacts,
    /// What else must be the same in every session of the run, such as a teacher.
    pub(crate) identity: BTreeMap<&'static str, Option<String>>,
}

/// A run whose folder has not been opened.
pub(crate) struct PreparedRun<'a, C> {
    pub(crate) loader: ViewLoader,
    pub(crate) trainer: Trainer,
    memory: Option<MemoryEstimate>,
    /// The columns of `metrics.csv` that each step fills.
    columns: Vec<&'static str>,
    total_steps: usize,
    facts: RunFacts,
    config: RecordedConfig<'a, C>,
}

/// `config.json`.
#[derive(Serialize)]
struct RecordedConfig<'a, C> {
    #[serde(flatten)]
    config: &'a C,
    #[serde(flatten)]
    identity: BTreeMap<&'static str, Option<String>>,
}

impl<C: fmt::Debug> fmt::Debug for RunSpec<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunSpec")
            .field("config", &self.config)
            .field("options", &self.options)
            .field("objective", &self.objective)
            .field("augmentation", &self.augmentation)
            .field("callbacks", &self.callbacks.len())
            .finish_non_exhaustive()
    }
}

impl<C: LoopConfig> RunSpec<C> {
    /// A run with this configuration.
    pub fn new(config: C) -> Self {
        Self {
            config,
            initial_weights: None,
            options: RunOptions::default(),
            objective: None,
            optimizer: None,
            augmentation: None,
            progress: Arc::new(|stage| ProgressMode::Silent.start(stage)),
            callbacks: Vec::new(),
        }
    }

    /// The configuration.
    pub fn config(&self) -> &C {
        &self.config
    }

    /// Changes the image size, and with it the stem (see [`LoopConfig::with_image_size`]);
    /// not that of a network to start from.
    pub fn image_size(mut self, size: usize) -> Self {
        self.config = if self.initial_weights.is_some() {
            self.config.with_view_size(size)
        } else {
            self.config.with_image_size(size)
        };
        self
    }

    /// Sets the number of images per step.
    pub fn batch_size(mut self, images: usize) -> Self {
        self.config.batch_size = images;
        self
    }

    /// Sets the number of epochs.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.config.schedule.epochs = epochs;
        self.config.schedule.steps = None;
        self
    }

    /// Sets the number of steps, whatever the number of epochs (the original's `train_steps`).
    pub fn steps(mut self, steps: usize) -> Self {
        self.config.schedule.steps = Some(steps);
        self
    }

    /// Sets the seed of initial weights, order and views.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.config.seed = seed;
        self
    }

    /// Starts from these weights: all of the encoder's, and those of the heads that fit. For
    /// the image size to leave the stem alone, set it afterwards.
    pub fn start_from(mut self, weights: Parameters) -> Self {
        self.initial_weights = Some(weights);
        self
    }

    /// Minimises an own loss in place of the loop's.
    pub fn objective(mut self, objective: impl Objective + 'static) -> Self {
        self.objective = Some(Arc::new(objective));
        self
    }

    /// Updates the variables by an own optimizer; the schedule still gives the learning rate.
    ///
    /// Its [description](Optimizer::describe) is part of the run's identity: by default the type's
    /// name, and the settings are the caller's to keep.
    pub fn optimizer<O: Optimizer + 'static>(
        mut self,
        build: impl Fn(Vec<NamedVariable>) -> simclr_optim::Result<O> + Send + Sync + 'static,
    ) -> Self {
        let build = move |variables| -> simclr_optim::Result<Box<dyn Optimizer>> {
            Ok(Box::new(build(variables)?))
        };
        self.optimizer = Some(Arc::new(build));
        self
    }

    /// Makes views of training images in an own way, in place of the configuration's policy.
    pub fn augmentation(mut self, augmentation: impl Augmentation + 'static) -> Self {
        self.augmentation = Some(Arc::new(augmentation));
        self
    }

    /// Adds something that sees the metrics of steps and epochs, and may stop the run. Clones
    /// of this builder share it.
    pub fn callback(mut self, callback: impl Callback + 'static) -> Self {
        self.callbacks.push(Arc::new(Mutex::new(callback)));
        self
    }

    /// Computes on this device. Default: the CPU.
    pub fn device(mut self, device: Device) -> Self {
        self.options.device = device;
        self
    }

    /// Shows progress. Default: silent.
    pub fn progress(self, mode: ProgressMode) -> Self {
        self.progress_by(move |stage| mode.start(stage))
    }

    /// Shows progress in an own way: `start` is called once per run.
    pub fn progress_by(
        mut self,
        start: impl Fn(Stage) -> Box<dyn Progress> + Send + Sync + 'static,
    ) -> Self {
        self.progress = Arc::new(start);
        self
    }

    /// Saves activations sparingly and computes them again in the backward pass. Default: all
    /// are kept. The result is the same to the bit.
    pub fn gradient_checkpointing(mut self, checkpointing: GradientCheckpointing) -> Self {
        self.options.gradient_checkpointing = checkpointing;
        self
    }

    /// After how many epochs a checkpoint is written. Default: 1.
    pub fn checkpoint_epochs(mut self, epochs: NonZeroUsize) -> Self {
        self.options.checkpoint_epochs = epochs;
        self
    }

    /// After how many steps a checkpoint is written, besides. Default: only after epochs.
    pub fn checkpoint_steps(mut self, steps: impl Into<Option<NonZeroUsize>>) -> Self {
        self.options.checkpoint_steps = steps.into();
        self
    }

    /// After what time a checkpoint is written, besides: the step that is under way then is
    /// finished first. Default: 10 minutes.
    pub fn checkpoint_interval(mut self, interval: Duration) -> Self {
        self.options.checkpoint_interval = interval;
        self
    }

    /// How many checkpoints are kept: at least 2, so that the run can go on from the one before
    /// if the newest is damaged. Default: 5.
    pub fn keep_checkpoints(mut self, keep: NonZeroUsize) -> Self {
        self.options.keep_checkpoints = keep;
        self
    }

    /// Memory for decoded images, in bytes. Default: 2 GiB.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.options.cache_bytes = bytes;
        self
    }

    /// What is done about a step whose loss is not finite. Default: the run stops.
    pub fn on_nan(mut self, on_nan: OnNan) -> Self {
        self.options.on_nan = on_nan;
        self
    }

    /// [`prepare`](Self::prepare) and [`open`](Self::open).
    pub(crate) fn start(
        &self,
        dir: PathBuf,
        inputs: TrainingInputs,
        objective: impl Objective + 'static,
        extra_columns: &[&'static str],
        kept_network: KeptNetwork,
    ) -> Result<TrainingRun> {
        let prepared = self.prepare(&dir, inputs, objective)?;
        self.open(dir, prepared, extra_columns, kept_network)
    }

    /// Checks everything that can be checked without opening the run folder. Several ranks compare what
    /// they are about to do.
    pub(crate) fn prepare(
        &self,
        dir: &Path,
        inputs: TrainingInputs,
        objective: impl Objective + 'static,
    ) -> Result<PreparedRun<'_, C>> {
        let objective: Arc<dyn Objective> = match &self.objective {
            Some(own) => own.clone(),
            None => Arc::new(objective),
        };
        let mut columns = vec!["epoch", "learning_rate", "total_loss"];
        columns.extend(objective.metrics());
        columns.push("weight_decay");
        let keep = self.options.keep_checkpoints;
        if keep == NonZeroUsize::MIN {
            let expected = "at least 2, since the newest may be damaged";
            return Err(Error::setting("checkpoints to keep", expected, keep));
        }
        check_labels(inputs.images.as_ref())?;
        let loader = self.loader(&inputs.images)?;
        // A finished run is read back, whatever it took. What several ranks share is not known.
        let memory = if dir.join(RESULT).exists() || self.options.ranks.is_some() {
            None
        } else {
            self.check_memory(inputs.images.as_ref())?
        };
        let trainer = self.trainer(&inputs, objective)?;
        let schedule = &self.config.schedule;
        let total_steps = schedule
            .steps
            .unwrap_or_else(|| loader.steps(schedule.epochs));
        let facts = inputs.facts.seed("run", self.config.seed.0);
        let facts = facts.device(&self.options.device);
        let mut identity = inputs.identity;
        let start = self.initial_weights.as_ref();
        identity.insert(identity::START, start.map(parameters_digest).transpose()?);
        self.add_own_parts(&trainer, &mut identity);
        let config = RecordedConfig {
            config: &self.config,
            identity,
        };
        if let Some(ranks) = &self.options.ranks {
            let settings = self.settings_of_rank(&config, &facts)?;
            check_agreement(ranks.as_ref(), &settings)?;
        }
        Ok(PreparedRun {
            loader,
            trainer,
            memory,
            columns,
            total_steps,
            facts,
            config,
        })
    }

    /// What has to be the same on all ranks.
    fn settings_of_rank(&self, config: &impl Serialize, facts: &RunFacts) -> Result<Value> {
        let RunOptions {
            gradient_checkpointing,
            on_nan,
            global_batch_norm,
            ..
        } = &self.options;
        let config = serde_json::to_value(config)
            .map_err(|error| Error::setting("configuration", "settings in JSON", error))?;
        Ok(json!({
            "config": config,
            "data and arithmetic": facts.identity(&arithmetic()?),
            "kernel options": format!("{:?}", KernelOptions::current()?),
            "gradient checkpointing": format!("{gradient_checkpointing:?}"),
            "on_nan": format!("{on_nan:?}"),
            "global batch norm": global_batch_norm,
            "library": env!("CARGO_PKG_VERSION"),
        }))
    }

    /// Opens the run folder and goes to its newest checkpoint. `extra_columns` are filled once
    /// an epoch.
    pub(crate) fn open(
        &self,
        dir: PathBuf,
        prepared: PreparedRun<'_, C>,
        extra_columns: &[&'static str],
        kept_network: KeptNetwork,
    ) -> Result<TrainingRun> {
        let mut columns = prepared.columns;
        columns.extend(extra_columns);
        let folder = RunFolder::open(dir, &prepared.config, &prepared.facts)?;
        let stage = Stage::new(C::STAGE, prepared.total_steps as u64);
        TrainingRun::open(
            folder,
            &columns,
            prepared.loader,
            prepared.trainer,
            prepared.total_steps,
            RunOptions {
                kept_network,
                ..self.options.clone()
            },
            self.callbacks.clone(),
        )
        .map(|run| run.with_progress(stage, prepared.memory, self.progress.as_ref()))
    }

    /// Own parts are part of the run's identity.
    fn add_own_parts(
        &self,
        trainer: &Trainer,
        identity: &mut BTreeMap<&'static str, Option<String>>,
    ) {
        if let Some(objective) = &self.objective {
            identity.insert(identity::OWN_OBJECTIVE, Some(objective.describe()));
        }
        if self.optimizer.is_some() {
            let description = trainer.optimizer().describe();
            identity.insert(identity::OWN_OPTIMIZER, Some(description));
        }
        if let Some(augmentation) = &self.augmentation {
            identity.insert(identity::OWN_AUGMENTATION, Some(augmentation.describe()));
        }
        if let (Some(ranks), false) = (&self.options.ranks, self.options.global_batch_norm) {
            let of_each = format!("over the batch of each of {} ranks", ranks.size());
            identity.insert(identity::BATCH_NORM, Some(of_each));
        }
    }

    fn loader(&self, images: &Arc<dyn Dataset>) -> Result<ViewLoader> {
        let (batch_size, found) = (self.config.batch_size, images.len());
        if (1..batch_size).contains(&found) {
            return Err(Error::BatchTooLarge {
                batch_size,
                images: found,
            });
        }
        let config = LoaderConfig::default()
            .with_batch_size(self.config.batch_size)
            .with_views(C::VIEWS)
            .with_seed(self.config.seed)
            .with_last_batch(LastBatch::WrapAcrossEpochs)
            .with_cache_bytes(self.options.cache_bytes)
            .with_depth_guidance(self.config.depth_guidance());
        let config = match &self.options.ranks {
            None => config,
            Some(ranks) => config.with_shard(Shard {
                index: ranks.rank(),
                count: ranks.size(),
            }),
        };
        Ok(ViewLoader::new(images.clone(), self.view_maker(), config)?)
    }

    /// What makes views: the caller's own augmentation, or the configuration's policy.
    pub(crate) fn view_maker(&self) -> Arc<dyn Augmentation> {
        let own = self.augmentation.clone();
        own.unwrap_or_else(|| Arc::new(self.config.policy.clone()))
    }

    fn trainer(&self, inputs: &TrainingInputs, objective: Arc<dyn Objective>) -> Result<Trainer> {
        let images = inputs.images.len();
        let mut model = self.initial_network(inputs.num_classes)?;
        let head = model.config().supervised_head.as_ref();
        let class_names = inputs.images.class_names();
        // An own configuration may give the network another head, of which no names are known.
        let is_named = head.is_some_and(|head| head.num_classes == class_names.len());
        model.set_gradient_checkpointing(self.options.gradient_checkpointing);
        let schedule = WarmupCosine::new(&self.config.schedule, images, self.config.batch_size)?;
        let weight_decay = self.config.weight_decay;
        let optimizer = match &self.optimizer {
            Some(build) => {
                let variables = model.trainable().into_iter().map(NamedVariable::from);
                build(variables.collect())?
            }
            None => {
                let optimizer = self.config.optimizer.clone();
                optimizer
                    .with_weight_decay(weight_decay)
                    .build(model.trainable())?
            }
        };
        let mut trainer = Trainer::with_parts(model, objective, optimizer, weight_decay, schedule)?
            .with_ranks(self.options.ranks.clone());
        if is_named {
            trainer = trainer.with_class_names(class_names)?;
        }
        trainer.with_gradient_cache(self.config.gradient_cache())
    }

    /// The network at its first step: random, or with the weights to start from, whose encoder
    /// must fit.
    pub(crate) fn initial_network(&self, num_classes: usize) -> Result<SimClr> {
        let network = self.config.network(num_classes);
        let specs = network.parameter_specs()?;
        let seed = self.config.seed.0;
        let parameters = Parameters::initialize(&specs, seed, &self.options.device)?;
        if let Some(weights) = &self.initial_weights {
            self.take_over(weights, &parameters)?;
        }
        let mut network = SimClr::new(&network, parameters.var_builder())?;
        network.set_freeze(self.config.freeze)?;
        Ok(network)
    }

    /// The encoder's parameters, all of which must be there, and those of the heads that fit.
    fn take_over(&self, weights: &Parameters, parameters: &Parameters) -> Result<()> {
        let is_encoder = |name: &str| name.starts_with("encoder.");
        let ours = parameters.iter().filter(|(name, _)| is_encoder(name));
        let ours = ours.map(|(name, variable)| (name.to_owned(), variable.clone()));
        let (encoder, heads): (Vec<_>, Vec<_>) = weights
            .iter()
            .filter(|(name, _)| self.config.takes_over(name))
            .map(|(name, variable)| (name, variable.as_tensor()))
            .partition(|(name, _)| is_encoder(name));
        Parameters::from_variables(ours)?.load(encoder)?;
        parameters.load_matching(heads)?;
        Ok(())
    }
}

fn parameters_digest(parameters: &Parameters) -> Result<String> {
    let named = parameters.iter();
    Ok(values_digest(
        named.map(|(name, variable)| (name, variable.as_tensor())),
    )?)
}
