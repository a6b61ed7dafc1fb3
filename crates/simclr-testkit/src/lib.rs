//! What the tests of every crate share: one tolerance type, named seeds, the
//! golden tensors recorded from the original TensorFlow code, the weight
//! formula they were recorded with, and finite-difference gradients.
//!
//! ```
//! use simclr_testkit::Tolerance;
//!
//! let comparison = Tolerance::absolute(1e-3).compare(&[1.0, 2.0], &[1.0, 2.0005]);
//! assert!(comparison.passed);
//! assert!(Tolerance::absolute(1e-6).compare(&[1.0], &[f32::NAN]).failed());
//! ```

#![warn(missing_debug_implementations)]

mod error;
mod formula;
mod golden;
mod gradient;
pub mod seeds;
mod tolerance;

pub use candle_core;

pub use error::{Error, Result};
pub use formula::{formula_range, formula_value, formula_values};
pub use golden::{GoldenCase, golden_cases};
pub use gradient::check_gradients;
pub use tolerance::{Comparison, Tolerance};
