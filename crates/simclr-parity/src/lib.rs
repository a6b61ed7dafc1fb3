//! Judges the simclr crates by tensors recorded from the original TensorFlow code.
//!
//! Every case names its kind; every kind has a module here that repeats the
//! recorded computation with our crates and compares the outcome within the
//! case's own tolerance.
//!
//! ```
//! let report = simclr_parity::CaseReport::default();
//! assert!(!report.passed(), "a case that checked nothing has not passed");
//! ```

#![warn(missing_debug_implementations)]

mod checkpoints;
mod crop_distribution;
mod distill;
mod forms;
mod formula_model;
mod image_ops;
mod lars;
mod linear_probe;
mod metrics;
mod nt_xent;
mod recorded;
mod replicas;
mod report;
mod resnet;
mod schedule;
mod settings;
mod slots;
mod tensors;
mod training_step;

pub use checkpoints::check_weights;
pub use replicas::{check_rank, replicas};
pub use report::{CaseReport, Check};

use report::CaseChecks;
use simclr_testkit::GoldenCase;

/// Why a case could not be judged: an error of any of the crates.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The result of judging.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Repeats a recorded case and compares.
type Checker = fn(&mut CaseChecks<'_>) -> Result<()>;

/// The kinds of case that can be judged, each with its module.
const KINDS: &[(&str, Checker)] = &[
    ("checkpoints", checkpoints::check),
    ("crop_distribution", crop_distribution::check),
    ("distill", distill::check),
    ("finetune_step", training_step::check),
    ("image_ops", image_ops::check),
    ("lars", lars::check),
    ("linear_probe", linear_probe::check),
    ("metrics", metrics::check),
    ("nt_xent", nt_xent::check),
    ("pretrain_step", training_step::check),
    ("resnet", resnet::check),
    ("schedule", schedule::check),
];

/// The kinds that are computed by tensors alone, and so on any device.
pub const TENSOR_KINDS: [&str; 6] = [
    "distill",
    "finetune_step",
    "lars",
    "nt_xent",
    "pretrain_step",
    "resnet",
];

/// The names of all kinds that can be judged.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|&(kind, _)| kind)
}

/// Judges one case; `None` if its kind is unknown.
pub fn check(case: &GoldenCase) -> Option<Result<CaseReport>> {
    let (_, checker) = KINDS.iter().find(|(kind, _)| *kind == case.kind)?;
    let mut checks = CaseChecks::new(case);
    Some(checker(&mut checks).map(|()| checks.report))
}
