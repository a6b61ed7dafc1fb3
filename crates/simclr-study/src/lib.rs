//! Studies: methods that are compared on the same folds, seeds and label budgets.
//!
//! A [`Study`] works through a grid of cells, (method, seed, fold, label fraction), and
//! records each finished one, so that an interrupted study goes on where it stopped.
//! A method is either an encoder, evaluated by probes on its frozen features
//! ([`Study::probe`], [`Study::pretrain`]), or a network that is trained with the cell's
//! labels ([`Study::fine_tune`], [`Study::supervised`], [`Study::train`]). Features are computed once per encoder and
//! kept on disk ([`FeatureStore`]). The outcome is a [`Comparison`] with means, standard
//! deviations, confidence intervals and paired differences, and a report.
//!
//! ```
//! use simclr_data::{DatasetExt, Seed, SyntheticCores};
//! use simclr_study::{Study, Task, paper};
//! use simclr_train::Pretrain;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! let protocol = paper::tiny(paper::experiment_3()).with_label_fractions([1.0]);
//! // Or `ImageFolder::labelled("cores/")?`.
//! let cores = SyntheticCores::new(120, 32, Seed(1))?;
//! let task = Task::new("synthetic cores", cores.shared())?;
//! let pretrain = Pretrain::new(protocol.pretrain.clone());
//!
//! let mut study = Study::open(dir, protocol, task)?;
//! study.probe_untrained(|run| pretrain.clone().seed(run.seed).untrained())?;
//! // And `study.pretrain("pretrained", &pretrain, 1.0, "pretrain")?`, which takes longer.
//! println!("{}", study.comparison()?.table()?);
//! assert!(study.write_report()?.ends_with("report.html"));
//! # Ok(())
//! # }
//! ```

mod cell;
mod cell_result;
mod cell_store;
mod comparison;
mod comparison_tables;
mod duplicate_report;
mod duplicates;
mod error;
mod feature_store;
mod file_name;
mod files;
mod finding;
mod fine_tuning;
mod fingerprint;
mod fold_scheme;
mod image_tables;
pub mod paper;
mod part;
mod pictures;
mod probing;
mod protocol;
mod recorded_study;
mod report;
mod results_files;
mod seed_run;
mod study;
mod study_comparison;
mod task;
mod training_job;
mod used_settings;

pub use candle_core;
pub use cell::Cell;
pub use cell_result::{CellResult, ClassifierKind, Evaluation, NetworkEvaluation};
pub use cell_store::CellStore;
pub use comparison::{CellImages, Comparison, MethodResults, PairedDifference};
pub use duplicates::Duplicates;
pub use error::{Error, Result};
pub use feature_store::FeatureStore;
pub use fold_scheme::FoldScheme;
pub use part::{JoinedParts, Part};
pub use pictures::view_grid;
pub use protocol::Protocol;
pub use seed_run::SeedRun;
pub use study::Study;
pub use study_comparison::StudyComparison;
pub use task::Task;
pub use training_job::TrainingJob;

/// The program of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
