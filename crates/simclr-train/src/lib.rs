//! Optimizers, schedules, training loops, probes, metrics and run folders for SimCLR

pub mod analysis;
mod error;
pub mod evaluation;
pub mod metrics;
pub mod optimizer;
pub mod plot;
pub mod report;
pub mod run;
pub mod schedule;
mod table;
pub mod weight_decay;

pub use error::{Error, Result};
