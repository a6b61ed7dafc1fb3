//! Experiments: arms that are compared on the same folds, seeds and label budgets.
//!
//! A [`Study`] works through a grid of cells, (arm, seed, fold, label fraction), and
//! records each finished one, so that an interrupted study goes on where it stopped.
//! An arm is either an encoder, judged by probes on its frozen features
//! ([`Study::probe`]), or a network that is trained with the cell's labels
//! ([`Study::train`]). Features are computed once per encoder and kept on disk
//! ([`FeatureStore`]). What comes out is a [`Comparison`] with means, standard
//! deviations, confidence intervals and paired differences, and a report.
//!
//! ```no_run
//! use simclr_data::{DatasetExt, ImageFolder};
//! use simclr_study::{Study, Task};
//! use simclr_study::paper;
//! use simclr_train::Pretrain;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let protocol = paper::experiment_3();
//! let task = Task::new("cores/", ImageFolder::labelled("cores/")?.shared())?;
//! let pretrain = Pretrain::new(protocol.pretrain.clone());
//!
//! let mut study = Study::open("runs/cores", protocol, task)?;
//! study.probe("untrained", |repetition| pretrain.clone().seed(repetition.seed).untrained())?;
//! study.probe("pretrained", |repetition| -> simclr_study::Result<_> {
//!     let dir = repetition.dir.join("pretrain");
//!     Ok(pretrain.clone().seed(repetition.seed).run(repetition.unlabelled(1.0)?, dir)?.encoder)
//! })?;
//! println!("{}", study.comparison()?.table()?);
//! study.write_report()?;
//! # Ok(())
//! # }
//! ```

mod cell_result;
mod cell_store;
mod comparison;
mod error;
mod feature_store;
mod fold_scheme;
pub mod paper;
mod pictures;
mod protocol;
mod report;
mod results_files;
mod study;
mod task;

pub use candle_core;
pub use cell_result::{Found, Measure, NetworkReport, Outcome};
pub use cell_store::{Cell, Sweep};
pub use comparison::{ArmResults, Comparison, PairedRow};
pub use error::{Error, Result};
pub use feature_store::FeatureStore;
pub use fold_scheme::FoldScheme;
pub use protocol::Protocol;
pub use study::{Repetition, Study, Trial};
pub use task::{Duplicates, Task};
