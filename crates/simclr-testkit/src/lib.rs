#![doc = include_str!("../README.md")]
#![warn(missing_debug_implementations)]

mod collective_check;
mod error;
mod formula;
mod golden;
mod gradient;
mod metered_rank;
pub mod seeds;
mod tolerance;

pub use candle_core;

pub use collective_check::compare_with_threads;
pub use error::{Error, Result};
pub use formula::{formula_range, formula_value, formula_values};
pub use golden::{GoldenCase, golden_cases};
pub use gradient::check_gradients;
pub use metered_rank::{MeteredRank, Traffic};
pub use tolerance::{Comparison, Tolerance};
