//! Optimizers, schedules, training loops, probes, metrics and run folders for SimCLR

mod error;
pub mod run;

pub use error::{Error, Result};
