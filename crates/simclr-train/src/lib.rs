//! Optimizers, schedules, training loops, probes, metrics and run folders for SimCLR

pub mod analysis;
mod classifier;
mod distill;
mod error;
pub mod evaluation;
mod features;
mod fine_tune;
mod judge;
pub mod metrics;
pub mod optimizer;
pub mod paper;
pub mod plot;
mod pretrain;
pub mod report;
pub mod run;
pub mod schedule;
mod session;
mod state;
pub mod study;
mod table;
mod trainer;
pub mod weight_decay;

pub use classifier::{Classifier, NetworkClassifier, ProbeClassifier, evaluate_classifier};
pub use distill::{Distill, DistillConfig, DistillEpoch, DistillResult, DistillRun};
pub use error::{Error, Result};
pub use features::{Features, dataset_facts, dataset_facts_with_contents};
pub use fine_tune::{
    FineTune, FineTuneConfig, FineTuneEpoch, FineTuneResult, FineTuneRun, HeadStart,
};
pub use judge::{Judge, Judgement, comparison_table};
pub use pretrain::{EpochSummary, Pretrain, PretrainConfig, PretrainResult, PretrainRun};
pub use trainer::{
    ContrastMetrics, DistillationMetrics, Objective, StepMetrics, SupervisedMetrics, Trainer,
};
