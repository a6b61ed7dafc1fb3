//! What happens over time: optimizers, schedules, training loops, probes, metrics, run
//! folders and reports for SimCLR.
//!
//! The ready-made loops each work in a run folder of their own and go on there after an
//! interruption as if there had been none:
//!
//! | loop | SimCLRv2's step | what it learns from |
//! | --- | --- | --- |
//! | [`Pretrain`] | 1, self-supervised pretraining | images without labels |
//! | [`FineTune`] | 2, fine-tuning; also supervised training from scratch | images with labels |
//! | [`Distill`] | 3, distillation and self-training | a teacher's opinion of images, and labels |
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use simclr_data::{DatasetExt, Fractions, Seed, SyntheticCores};
//! use simclr_eval::evaluation::LinearProbe;
//! use simclr_eval::Features;
//! use simclr_train::{Pretrain, PretrainConfig};
//!
//! # let dir = tempfile::tempdir()?;
//! # let mut tiny = Pretrain::resnet(18).image_size(32).config().clone();
//! # tiny.encoder.stem = simclr_model::Stem::ImageNet;
//! # let tiny = Pretrain::new(PretrainConfig { batch_size: 8, ..tiny }).epochs(1);
//! let cores = SyntheticCores::new(40, 32, Seed(1))?;
//! # let run = tiny.run(cores.shared(), dir.path().join("run"))?;
//! # if false {
//! let run = Pretrain::resnet(18).image_size(32).epochs(100).run(cores.shared(), "runs/cores")?;
//! # }
//! println!("{}", run.result.summary());
//!
//! // How good the features are, a linear classifier tells.
//! let split = cores.split(Fractions { train: 0.5, validation: 0.25 }, Seed(1))?;
//! let features = Features::of_split(&run.encoder, &split, &simclr_augment::Policy::probe(32))?;
//! let (train, validation, test) =
//!     (features.train.examples()?, features.validation.examples()?, features.test.examples()?);
//! let found = LinearProbe::paper().fit(train, validation, test, &features.test.class_names)?;
//! println!("{}", found.test);
//! # assert_eq!(found.test.samples, 10);
//! # Ok(())
//! # }
//! ```
//!
//! # A loop by hand
//! [`Trainer`] is one step after the other, for a loop that the ready ones do not fit; and
//! where it does not fit either, its parts are public: an [`optimizer`] over named variables, a
//! [`schedule`], the [`weight_decay`] term.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use candle_core::Device;
//! use simclr_augment::Policy;
//! use simclr_data::{DatasetExt, Seed, SyntheticCores, ViewLoader};
//! use simclr_loss::NtXent;
//! use simclr_model::{Mode, ResNetConfig, SimClr, SimClrConfig};
//! use simclr_optim::{Lars, LarsConfig, Optimizer};
//! use simclr_optim::{ScheduleConfig, WarmupCosine};
//!
//! let cores = SyntheticCores::new(16, 32, Seed(1))?;
//! let loader = ViewLoader::training(cores.shared(), Policy::paper(32), 8, Seed(1))?;
//! let model = SimClr::initialize(&SimClrConfig::new(ResNetConfig::depth(18)), 1, &Device::Cpu)?;
//! let mut lars = Lars::new(model.trainable(), LarsConfig { weight_decay: 1e-4, ..LarsConfig::default() })?;
//! let schedule = WarmupCosine::new(&ScheduleConfig::default(), 16, 8)?;
//! for (step, batch) in loader.epochs(0..1)?.enumerate() {
//!     let output = model.forward(&batch?.views, Mode::Train)?;
//!     let loss = NtXent::default().forward(output.z())?.loss;
//!     lars.step(&loss.backward()?, schedule.at(step))?;
//! }
//! # assert_eq!(lars.steps_taken(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # After training
//! [`Features`] are what a frozen encoder makes of images; [`evaluation`] has the paper's
//! linear probe, logistic regression and nearest neighbours on them, [`Judge`] all three at
//! once; [`metrics`] the figures, [`analysis`] what can be said about several of them;
//! [`plot`] and [`report`] show them, and [`run`] is where everything is kept. [`study`]
//! compares arms over seeds, folds and label budgets; [`paper`] has the paper's settings.
//!
//! # What is promised
//! The same seed gives the same result whatever the number of threads. A loss that is no
//! longer finite stops a run before its weights are spoiled. Optimizers, schedule, weight
//! decay and whole training steps are compared with recorded ones of the original.

mod callback;
mod config;
mod contrastive;
mod distill;
mod distill_config;
mod distill_result;
mod distillation;
mod epochs;
mod error;
mod fine_tune;
mod fine_tune_config;
mod fine_tune_result;
mod objective;
mod pretrain;
mod pretrain_config;
mod pretrain_result;
pub mod report;
pub mod run;
mod run_spec;
mod supervised;
mod trainer;
mod training_run;
mod validation;

pub use callback::{Callback, Control, EpochMetrics, PauseHandle, StopWhen};
pub use candle_core;
pub use config::{LoopConfig, TrainingConfig};
pub use contrastive::ContrastiveObjective;
pub use distill::{Distill, DistillRun};
pub use distill_config::DistillConfig;
pub use distill_result::{DistillEpoch, DistillResult};
pub use distillation::DistillationObjective;
pub use error::{Error, Result};
pub use fine_tune::{FineTune, FineTuneRun};
pub use fine_tune_config::{FineTuneConfig, HeadInit};
pub use fine_tune_result::{FineTuneEpoch, FineTuneResult};
pub use objective::{Loss, Metric, Objective, TrainingBatch, accuracy, scalar};
pub use pretrain::{Pretrain, PretrainRun};
pub use pretrain_config::PretrainConfig;
pub use pretrain_result::{EpochSummary, PretrainResult};
pub use run_spec::RunSpec;
pub use supervised::SupervisedObjective;
pub use trainer::{StepMetrics, Trainer};
