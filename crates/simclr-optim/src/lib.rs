//! LARS, SGD and Adam over named candle variables, learning-rate schedules and the
//! weight-decay term, as in SimCLRv2's TensorFlow code.
//!
//! Optimizers work on any candle variables and read their learning rate from the caller at every
//! step. Their state can be saved and restored. Own ones implement [`Optimizer`].
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use candle_core::{Device, Var};
//! use simclr_optim::{Lars, LarsConfig, Optimizer};
//!
//! let weights = Var::new(&[1.0f32, -2.0], &Device::Cpu)?;
//! let mut lars = Lars::new([("dense.kernel", weights.clone())], LarsConfig::default())?;
//! let loss = weights.sqr()?.sum_all()?;
//! lars.step(&loss.backward()?, 0.1)?;
//! assert_eq!(lars.steps_taken(), 1);
//! assert!(weights.to_vec1::<f32>()?[0] < 1.0);
//! # Ok(())
//! # }
//! ```

mod adam;
mod config;
mod elementwise;
mod error;
mod lars;
mod optimizer;
mod schedule;
mod setters;
mod sgd;
mod state;
mod variable;
mod weight_decay;

pub use adam::{Adam, AdamConfig};
pub use candle_core;
pub use config::OptimizerConfig;
pub use error::{Error, Result};
pub use lars::{Lars, LarsConfig, MomentumForm, default_exclusions};
pub use optimizer::Optimizer;
pub use schedule::{LearningRateScaling, ScheduleConfig, WarmupCosine};
pub use sgd::{Sgd, SgdConfig};
pub use variable::{Gradients, NamedVariable};
pub use weight_decay::{WeightDecayCoverage, weight_decay_term};

/// The program of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
