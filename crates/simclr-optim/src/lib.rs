//! What moves the weights: LARS, SGD and Adam over named variables, learning-rate schedules and
//! the weight-decay term, as in SimCLRv2's TensorFlow code.
//!
//! Optimizers work on any candle variables. Their state can be saved and restored, and each
//! of them reads its learning rate from the caller at every step.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use candle_core::{Device, Var};
//! use simclr_optim::{Lars, LarsConfig, Optimizer};
//!
//! let weights = Var::new(&[1.0f32, -2.0], &Device::Cpu)?;
//! let mut lars = Lars::new([("dense.kernel".to_owned(), weights.clone())], LarsConfig::default())?;
//! let loss = weights.sqr()?.sum_all()?;
//! lars.step(&loss.backward()?, 0.1)?;
//! assert_eq!(lars.steps_taken(), 1);
//! assert!(weights.to_vec1::<f32>()?[0] < 1.0);
//! # Ok(())
//! # }
//! ```

mod error;
mod optimizer;
mod schedule;
mod weight_decay;

pub use candle_core;
pub use error::{Error, Result};
pub use optimizer::{
    Adam, AdamConfig, Gradients, Lars, LarsConfig, MomentumForm, NamedVariable, Optimizer,
    OptimizerConfig, Sgd, SgdConfig, default_exclusions,
};
pub use schedule::{LearningRateScaling, ScheduleConfig, WarmupCosine};
pub use weight_decay::{WeightDecayCoverage, weight_decay_term};
