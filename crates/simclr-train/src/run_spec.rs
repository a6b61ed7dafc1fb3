//! What pretraining, fine-tuning and distillation have in common: how a run is set up, where it
//! starts, how it is watched, and how it is carried out.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::Device;
use serde::Serialize;
use serde::de::DeserializeOwned;
use simclr_augment::Policy;
use simclr_data::{Dataset, LastBatch, LoaderConfig, Seed, ViewLoader};
use simclr_model::{Freeze, Parameters, SimClr, SimClrConfig};
use simclr_progress::ProgressMode;

use crate::Result;
use crate::run::RunFacts;
use crate::session::{Finished, Outcome, Plan, Session, SessionOptions, Work};
use crate::trainer::{Objective, Trainer};
use simclr_optim::OptimizerConfig;
use simclr_optim::{ScheduleConfig, WarmupCosine};

/// A run to be: its settings, where it starts and how it is watched.
///
/// This is [`Pretrain`](crate::Pretrain), [`FineTune`](crate::FineTune) or
/// [`Distill`](crate::Distill), by the settings `C`; each has constructors and a `run` of its
/// own. Defaults of what belongs to the settings are there: [`PretrainConfig`],
/// [`FineTuneConfig`], [`DistillConfig`].
///
/// [`PretrainConfig`]: crate::PretrainConfig
/// [`FineTuneConfig`]: crate::FineTuneConfig
/// [`DistillConfig`]: crate::DistillConfig
#[derive(Debug, Clone)]
pub struct TrainingLoop<C> {
    pub(crate) config: C,
    pub(crate) start: Option<Parameters>,
    pub(crate) options: SessionOptions,
}

/// The settings of a [`TrainingLoop`]: [`PretrainConfig`](crate::PretrainConfig),
/// [`FineTuneConfig`](crate::FineTuneConfig) and [`DistillConfig`](crate::DistillConfig).
/// No others can be.
pub trait LoopSettings: Settings {}

impl<C: Settings> LoopSettings for C {}

/// What the loops read from and write to their settings. It is public because
/// [`LoopSettings`] is, and cannot be named outside of this crate.
pub trait Settings: Clone + Serialize {
    /// The name of the loop, where its progress is shown.
    const STAGE: &'static str;
    /// The columns of `metrics.csv`, after the step.
    const COLUMNS: &'static [&'static str];
    /// How many views a step has of each image.
    const VIEWS: usize;

    /// The settings that all loops have.
    fn shared(&self) -> Shared<'_>;
    /// Those that a [`TrainingLoop`] sets, to be changed.
    fn shared_mut(&mut self) -> SharedMut<'_>;
    /// Changes the size of the views, and the stem unless the network is given.
    fn resize(self, size: usize, network_is_given: bool) -> Self;
    /// The network that is trained.
    fn network(&self, classes: usize) -> SimClrConfig;
    /// What is minimised.
    fn objective(&self) -> Objective;
    /// Whether a parameter of the network to start from is wanted.
    fn wants(&self, _parameter: &str) -> bool {
        true
    }
}

/// The two functions for [`Shared`] settings, which are fields of the same name in all
/// settings of loops.
macro_rules! shared_settings {
    () => {
        fn shared(&self) -> crate::training_loop::Shared<'_> {
            crate::training_loop::Shared {
                policy: &self.policy,
                optimizer: &self.optimizer,
                weight_decay: self.weight_decay,
                schedule: &self.schedule,
                batch_size: self.batch_size,
                freeze: self.freeze,
                seed: self.seed,
            }
        }

        fn shared_mut(&mut self) -> crate::training_loop::SharedMut<'_> {
            crate::training_loop::SharedMut {
                schedule: &mut self.schedule,
                batch_size: &mut self.batch_size,
                seed: &mut self.seed,
            }
        }
    };
}
pub(crate) use shared_settings;

/// The settings that all loops have.
pub struct Shared<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) optimizer: &'a OptimizerConfig,
    pub(crate) weight_decay: f64,
    pub(crate) schedule: &'a ScheduleConfig,
    pub(crate) batch_size: usize,
    pub(crate) freeze: Freeze,
    pub(crate) seed: u64,
}

/// The settings that every [`TrainingLoop`] has methods for.
pub struct SharedMut<'a> {
    pub(crate) schedule: &'a mut ScheduleConfig,
    pub(crate) batch_size: &'a mut usize,
    pub(crate) seed: &'a mut u64,
}

/// What one run works on, beside its settings.
pub(crate) struct Material {
    /// The images to learn from.
    pub(crate) images: Arc<dyn Dataset>,
    /// The classes of the supervised head; 0 for none.
    pub(crate) classes: usize,
    /// The data sets of the run.
    pub(crate) facts: RunFacts,
    /// What else makes the run what it is: recorded beside the settings, and compared when the
    /// run is resumed.
    pub(crate) identity: BTreeMap<&'static str, Option<String>>,
}

/// What `config.json` holds.
#[derive(Serialize)]
struct Recorded<'a, C> {
    #[serde(flatten)]
    config: &'a C,
    #[serde(flatten)]
    identity: BTreeMap<&'static str, Option<String>>,
}

impl<C: LoopSettings> TrainingLoop<C> {
    /// A run with these settings, of a network that starts at random.
    pub fn new(config: C) -> Self {
        Self {
            config,
            start: None,
            options: SessionOptions::default(),
        }
    }

    /// Side of the square views in pixels. Default: 224. Images of 32 pixels and less get the
    /// CIFAR stem; a network that [`FineTune`](crate::FineTune) starts from keeps its own.
    pub fn image_size(mut self, size: usize) -> Self {
        self.config = self.config.resize(size, self.start.is_some());
        self
    }

    /// Images per step. Default: that of the settings.
    pub fn batch_size(mut self, images: usize) -> Self {
        *self.config.shared_mut().batch_size = images;
        self
    }

    /// Passes over the training images. Default: that of the settings' schedule.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.config.shared_mut().schedule.epochs = epochs;
        self
    }

    /// The seed of initial weights, order and views. Default: 0.
    pub fn seed(mut self, seed: u64) -> Self {
        *self.config.shared_mut().seed = seed;
        self
    }

    /// Starts from these parameters instead of random ones. The encoder must be complete; heads
    /// that are not among them start from the seed. [`FineTune`](crate::FineTune) takes the
    /// supervised head only if asked for with [`HeadStart::Given`](crate::HeadStart::Given).
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

    /// Memory for decoded images that are kept from epoch to epoch, in bytes; for training and
    /// for validation images each. Default: 2 GiB.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.options.cache_bytes = bytes;
        self
    }

    /// The settings.
    pub fn config(&self) -> &C {
        &self.config
    }

    /// Carries the run out, or goes on with it, in the folder `dir`, and records what
    /// `result` makes of it. `work` is what is done with the batches of a session. The settings
    /// should have been checked.
    pub(crate) fn carry_out<W: Work, R: Serialize + DeserializeOwned>(
        &self,
        dir: PathBuf,
        material: Material,
        work: impl FnOnce(&Session) -> Result<W>,
        result: impl FnOnce(&Finished) -> Result<R>,
        summary: impl FnOnce(&R) -> String,
    ) -> Result<Outcome<R>> {
        let session = self.session(dir, material)?;
        let mut work = work(&session)?;
        session.run(&mut work)?.record(result, summary)
    }

    fn session(&self, dir: PathBuf, material: Material) -> Result<Session> {
        let Shared { schedule, seed, .. } = self.config.shared();
        let images = material.images.len();
        Session::open(Plan {
            stage: C::STAGE,
            dir,
            config: &Recorded {
                config: &self.config,
                identity: material.identity,
            },
            facts: material.facts.seed("run", seed),
            columns: C::COLUMNS,
            epochs: schedule.epochs,
            loader: self.loader(material.images)?,
            trainer: self.trainer(material.classes, images)?,
            options: &self.options,
        })
    }

    fn loader(&self, images: Arc<dyn Dataset>) -> Result<ViewLoader> {
        let Shared {
            policy,
            batch_size,
            seed,
            ..
        } = self.config.shared();
        let config = LoaderConfig {
            batch_size,
            views: C::VIEWS,
            seed: Seed(seed),
            last_batch: LastBatch::Straddle,
            cache_bytes: self.options.cache_bytes,
            ..LoaderConfig::default()
        };
        Ok(ViewLoader::new(images, policy.clone(), config)?)
    }

    fn trainer(&self, classes: usize, images: usize) -> Result<Trainer> {
        let shared = self.config.shared();
        Trainer::new(
            self.initial_network(classes)?,
            self.config.objective(),
            shared.optimizer,
            shared.weight_decay,
            WarmupCosine::new(shared.schedule, images, shared.batch_size)?,
        )
    }

    /// Seeded parameters, or the given ones where there are any.
    pub(crate) fn initial_network(&self, classes: usize) -> Result<SimClr> {
        let Shared { seed, freeze, .. } = self.config.shared();
        let network = self.config.network(classes);
        let specs = network.parameter_specs()?;
        let parameters = Parameters::initialize(&specs, seed, &self.options.device)?;
        if let Some(start) = &self.start {
            self.copy_start(start, &parameters)?;
        }
        let mut network = SimClr::new(&network, parameters.var_builder())?;
        network.set_freeze(freeze)?;
        Ok(network)
    }

    /// The whole encoder from `start`; of the heads what is wanted, as far as it fits.
    fn copy_start(&self, start: &Parameters, parameters: &Parameters) -> Result<()> {
        let is_encoder = |name: &str| name.starts_with("encoder.");
        let ours = parameters.iter().filter(|(name, _)| is_encoder(name));
        let ours = ours.map(|(name, variable)| (name.to_owned(), variable.clone()));
        let (encoder, heads): (Vec<_>, Vec<_>) = start
            .iter()
            .filter(|(name, _)| self.config.wants(name))
            .map(|(name, variable)| (name, variable.as_tensor()))
            .partition(|(name, _)| is_encoder(name));
        Parameters::from_variables(ours)?.load(encoder)?;
        parameters.load_matching(heads)?;
        Ok(())
    }
}
