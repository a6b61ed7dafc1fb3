//! Optimizers, schedules, training loops, probes, metrics and run folders for SimCLR

pub mod analysis;
mod error;
pub mod metrics;
pub mod optimizer;
pub mod plot;
pub mod run;
pub mod schedule;
pub mod weight_decay;

pub use error::{Error, Result};
