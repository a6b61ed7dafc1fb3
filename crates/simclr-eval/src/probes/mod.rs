//! How good are features that are already computed? A linear probe as in the paper,
//! a logistic regression to convergence, and the nearest neighbours' vote.
//!
//! All work on [`Examples`]: the features are computed once, however many epochs
//! or settings are tried on them.

mod examples;
mod head;
mod k_nearest;
mod linear_probe;
mod logistic;
mod probe_report;

pub use examples::Examples;
pub use head::LinearHead;
pub use k_nearest::KNearest;
pub use linear_probe::{LinearProbe, ProbeTraining};
pub use logistic::{LogisticProbe, LogisticReport, TriedPenalty};
pub use probe_report::{LinearProbeReport, ProbeEpoch, SetFigures};
