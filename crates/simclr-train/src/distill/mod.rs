//! Distillation and self-training: SimCLRv2's third step.

mod config;
mod outcome;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use serde::Serialize;
use simclr_data::{Batch, Dataset, LastBatch, LoaderConfig, Seed, ViewLoader};
use simclr_model::{Parameters, SimClr};

pub use config::DistillConfig;
pub use outcome::{DistillEpoch, DistillResult};

use crate::classifier::{Classifier, NetworkClassifier};
use crate::features::dataset_facts;
use crate::run::{ProgressMode, RunFacts};
use crate::schedule::WarmupCosine;
use crate::session::{Plan, Session, SessionOptions, Work};
use crate::trainer::{Objective, StepMetrics, Trainer};
use crate::{Error, Result};

/// The columns of `metrics.csv`, after the step.
const COLUMNS: [&str; 8] = [
    "epoch",
    "learning_rate",
    "total_loss",
    "distillation_loss",
    "agreement_accuracy",
    "supervised_loss",
    "supervised_accuracy",
    "weight_decay",
];

/// A distillation to be: a student learns what a teacher says about images, with or
/// without labels.
///
/// Student and teacher see the same view of each image, and the loss of a batch of n
/// images is
///
/// ```text
/// a / n  * sum over all images           T^2 CE(softmax(teacher / T), softmax(student / T))
/// + (1 - a) / n * sum over labelled ones -ln softmax(student)[label]
/// ```
///
/// (Chen et al., 2020, "Big self-supervised models are strong semi-supervised learners",
/// equations 2 and 3). A student of the teacher's own size that also starts from its
/// weights is self-training. With `a = 0` and no teacher the same loop trains on the
/// labels alone, for a teacher to be or for a student to compare with.
///
/// ```no_run
/// use simclr_data::{DatasetExt, ImageFolder, PartlyLabelled};
/// use simclr_train::{Distill, NetworkClassifier};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let teacher = NetworkClassifier::load("teacher.safetensors", &candle_core::Device::Cpu)?;
/// let labelled = ImageFolder::labelled("labelled/")?;
/// let images = PartlyLabelled::new(labelled.shared(), ImageFolder::unlabelled("cores/")?.shared());
/// let run = Distill::resnet(18).image_size(64).epochs(50)
///     .run(Some(&teacher), images.shared(), "runs/student")?;
/// println!("agrees with the teacher on {:.1} %", 100.0 * run.result.last_epoch().agreement);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Distill {
    config: DistillConfig,
    start: Option<Parameters>,
    options: SessionOptions,
}

/// A finished distillation.
#[derive(Debug)]
pub struct DistillRun {
    /// The student, ready to classify.
    pub student: NetworkClassifier,
    /// What was measured, also in `result.json`.
    pub result: DistillResult,
    /// The run folder.
    pub dir: PathBuf,
    /// The trained student in the run folder, heads included.
    pub model_file: PathBuf,
}

/// What `config.json` holds: the settings and who the teacher is.
#[derive(Serialize)]
struct Recorded<'a> {
    #[serde(flatten)]
    config: &'a DistillConfig,
    teacher: Option<String>,
}

impl Distill {
    /// A run with these settings.
    pub fn new(config: DistillConfig) -> Self {
        Self {
            config,
            start: None,
            options: SessionOptions::default(),
        }
    }

    /// The usual settings with a student of this depth.
    pub fn resnet(depth: usize) -> Self {
        Self::new(DistillConfig::resnet(depth))
    }

    /// Side of the square views in pixels. Default: 224.
    pub fn image_size(mut self, size: usize) -> Self {
        self.config = self.config.with_image_size(size);
        self
    }

    /// Images per step. Default: 256.
    pub fn batch_size(mut self, images: usize) -> Self {
        self.config.batch_size = images;
        self
    }

    /// Passes over the images. Default: 100.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.config.schedule.epochs = epochs;
        self
    }

    /// The seed of initial weights, order and views. Default: 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.config.seed = seed;
        self
    }

    /// Starts from these parameters instead of random ones. Heads that are not among them
    /// start from the seed; the encoder must be complete.
    pub fn start_from(mut self, parameters: Parameters) -> Self {
        self.start = Some(parameters);
        self
    }

    /// Where the student lives. Default: the CPU.
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

    /// Memory for decoded images that are kept from epoch to epoch. Default: 2 GiB.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.options.cache_bytes = bytes;
        self
    }

    /// The settings.
    pub fn config(&self) -> &DistillConfig {
        &self.config
    }

    /// Runs, or goes on where an interrupted run in `dir` stopped. A finished run is not
    /// repeated: its outcome is read back.
    ///
    /// The classes are those of `images`; images without a label learn from the teacher
    /// alone.
    ///
    /// # Errors
    /// Settings out of range; a teacher with another number of classes; neither a teacher
    /// nor labels; a batch larger than the data; a folder that holds another run, or one
    /// with another teacher; an image that cannot be read; a loss that is no longer finite.
    pub fn run(
        &self,
        teacher: Option<&dyn Classifier>,
        images: Arc<dyn Dataset>,
        dir: impl Into<PathBuf>,
    ) -> Result<DistillRun> {
        self.config.validate()?;
        let classes = self.check(teacher, images.as_ref())?;
        let labelled = (0..images.len())
            .filter(|&i| images.label(i).is_some())
            .count();
        let session = Session::open(Plan {
            stage: "distillation",
            dir: dir.into(),
            config: &Recorded {
                config: &self.config,
                teacher: teacher.map(Classifier::identity).transpose()?,
            },
            facts: RunFacts::default()
                .seed("run", self.config.seed)
                .dataset("train", dataset_facts("images", images.as_ref())),
            columns: &COLUMNS,
            epochs: self.config.schedule.epochs,
            loader: self.loader(images.clone())?,
            trainer: self.trainer(classes, images.len())?,
            options: &self.options,
        })?;
        let images = images.as_ref();
        let finished = session.run(&mut Lessons { teacher, images })?;
        let outcome = finished.record(
            |finished| {
                finished.save_network()?;
                DistillResult::new(finished, images.len(), labelled)
            },
            DistillResult::summary,
        )?;
        Ok(DistillRun {
            student: NetworkClassifier::new(outcome.trainer.model().clone())?,
            result: outcome.result,
            dir: outcome.dir,
            model_file: outcome.model_file,
        })
    }

    /// The number of classes, on which data and teacher must agree.
    fn check(&self, teacher: Option<&dyn Classifier>, images: &dyn Dataset) -> Result<usize> {
        let classes = images.class_names().len();
        match teacher {
            None if self.config.loss.weight > 0.0 => {
                let weight = self.config.loss.weight;
                Err(Error::setting(
                    "weight of the teacher",
                    "0 without a teacher",
                    weight,
                ))
            }
            Some(teacher) if teacher.classes() != classes => {
                let expected = format!("{classes}, as the images have");
                let actual = teacher.classes();
                Err(Error::setting(
                    "number of the teacher's classes",
                    expected,
                    actual,
                ))
            }
            _ if classes == 0 => Err(Error::NoLabels {
                missing: "images with classes",
            }),
            _ => Ok(classes),
        }
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

    fn trainer(&self, classes: usize, images: usize) -> Result<Trainer> {
        let config = &self.config;
        let model = config.model(classes);
        let specs = model.parameter_specs()?;
        let parameters = Parameters::initialize(&specs, config.seed, &self.options.device)?;
        if let Some(start) = &self.start {
            crate::pretrain::start_from(&parameters, start)?;
        }
        let mut model = SimClr::new(&model, parameters.var_builder())?;
        model.set_freeze(config.freeze)?;
        Trainer::new(
            model,
            Objective::Distill(config.loss),
            &config.optimizer,
            config.weight_decay,
            WarmupCosine::new(&config.schedule, images, config.batch_size)?,
        )
    }
}

/// Who teaches, and the images with their labels.
struct Lessons<'a> {
    teacher: Option<&'a dyn Classifier>,
    images: &'a dyn Dataset,
}

impl Work for Lessons<'_> {
    fn step(&mut self, trainer: &mut Trainer, batch: &Batch) -> Result<StepMetrics> {
        let teacher = self.teacher;
        let logits: Option<Tensor> = teacher.map(|t| t.logits(&batch.views)).transpose()?;
        let labels = batch.indices.iter().map(|&index| self.images.label(index));
        let labels: Vec<Option<u32>> = labels.collect();
        trainer.distill_step(&batch.views, logits.as_ref(), &labels)
    }
}
