//! The paper's six experiments, and fine-tuning, as functions of their options.
//!
//! Each module has the experiment's `Arguments` and `run`, which opens the study, evaluates each
//! method on the same folds and seeds, and ends with a report.

mod arguments;
pub mod exp1;
pub mod exp2;
pub mod exp3;
pub mod exp4;
pub mod exp5;
pub mod exp6;
pub mod fine_tune;
mod fine_tune_arguments;
mod image_arguments;
mod networks;
pub(crate) mod optimizer_name;
mod pretrain_arguments;
