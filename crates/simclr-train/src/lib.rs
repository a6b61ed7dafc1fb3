//! Training for SimCLR: three ready-made loops that can be interrupted at any moment, and the
//! parts to write one by hand.
//!
//! | loop | SimCLRv2's step | what it learns from |
//! | --- | --- | --- |
//! | [`Pretrain`] | 1, self-supervised pretraining | images without labels |
//! | [`FineTune`] | 2, fine-tuning; also supervised training from scratch | images with labels |
//! | [`Distill`] | 3, distillation and self-training | a teacher's opinion of images, and labels |
//!
//! Each works in a run folder of its own and continues there after an interruption as if there
//! had been none.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use simclr_data::{Seed, SyntheticCores};
//! use simclr_train::Pretrain;
//!
//! # let dir = tempfile::tempdir()?;
//! # let runs = dir.path();
//! let cores = SyntheticCores::new(16, 32, Seed(1))?;
//! let run = Pretrain::resnet(18).image_size(32).batch_size(8).epochs(1)
//!     .run(cores, runs.join("cores"))?;
//! println!("{}", run.result.summary());
//! # Ok(())
//! # }
//! ```
//!
//! All three are a [`RunSpec`] with a configuration each, a [`TrainingConfig`] and what the loop
//! adds to it. Whatever is the caller's own can be put in: an [`Objective`], an
//! [`Optimizer`](simclr_optim::Optimizer), an
//! [`Augmentation`](simclr_augment::Augmentation), a [`Dataset`](simclr_data::Dataset), a
//! [`Callback`] that sees the metrics and may stop the run, and a way to show progress.
//!
//! # A loop by hand
//! [`Trainer`] takes one step after the other. Where it does not fit either, its parts are
//! public; `simclr_kernels::backward` and `recycle` take the place of `loss.backward()`, since
//! they free activations while the pass goes on and keep the gradients' memory from step to step.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use candle_core::Device;
//! use simclr_augment::Policy;
//! use simclr_data::{Dataset, Seed, SyntheticCores, ViewLoader};
//! use simclr_kernels::{backward, recycle};
//! use simclr_loss::NtXent;
//! use simclr_model::{Mode, ResNetConfig, SimClr, SimClrConfig};
//! use simclr_optim::{Lars, LarsConfig, Optimizer, ScheduleConfig, WarmupCosine};
//!
//! let cores = SyntheticCores::new(16, 32, Seed(1))?;
//! let images = cores.len();
//! let loader = ViewLoader::training(cores, Policy::paper(32), 8, Seed(1))?;
//! let model = SimClr::initialize(&SimClrConfig::new(ResNetConfig::depth(18)), 1, &Device::Cpu)?;
//! let mut lars = Lars::new(model.trainable(), LarsConfig::default())?;
//! let schedule = WarmupCosine::new(&ScheduleConfig::default(), images, 8)?;
//! for (step, batch) in loader.epochs(0..1)?.enumerate() {
//!     let output = model.forward(&batch?.views, Mode::Train)?;
//!     let loss = NtXent::default().forward(output.z())?.loss;
//!     let gradients = backward(&loss)?;
//!     lars.step(&gradients, schedule.at(step))?;
//!     recycle(gradients)?;
//! }
//! assert_eq!(lars.steps_taken(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//! The same seed gives the same result whatever the number of threads, and a run that was
//! interrupted the same as one that was not. A loss that is no longer finite stops a run before
//! its weights are spoiled. Whole training steps are compared with recorded ones of the original.

mod callback;
mod completed_run;
mod config;
mod contrastive;
mod distill;
mod distill_config;
mod distill_result;
mod distillation;
mod distributed;
mod epochs;
mod error;
mod fine_tune;
mod fine_tune_config;
mod fine_tune_result;
mod gradient_cache;
mod health;
mod identity;
mod images;
mod memory;
mod memory_check;
mod objective;
mod pretrain;
mod pretrain_config;
mod pretrain_result;
mod ranks;
pub mod report;
mod resume;
pub mod run;
mod run_spec;
mod supervised;
#[cfg(feature = "tensorboard")]
mod tensorboard;
mod trainer;
mod training_run;
mod validation;

pub use callback::{Callback, Control, EpochMetrics, PauseHandle, SessionStart, StopWhen};
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
pub use health::OnNan;
pub use memory::MemoryEstimate;
pub use objective::{
    EmbeddingObjective, Embeddings, Loss, Metric, Objective, TrainingBatch, accuracy, scalar,
};
pub use pretrain::{Pretrain, PretrainRun};
pub use pretrain_config::PretrainConfig;
pub use pretrain_result::{EpochSummary, PretrainResult};
pub use run_spec::RunSpec;
pub use supervised::SupervisedObjective;
#[cfg(feature = "tensorboard")]
pub use tensorboard::TensorBoard;
pub use trainer::{StepMetrics, Trainer};

/// The program of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
