//! Probes of features that are already computed: a linear probe as in the paper, logistic
//! regression to convergence, and the vote of the nearest neighbours.
//!
//! All work on [`Examples`]: the features are computed once, however many epochs
//! or settings are tried on them.

mod examples;
mod head;
mod k_nearest;
mod linear_probe;
mod linear_probe_report;
mod logistic;

pub use examples::Examples;
pub use head::LinearHead;
pub use k_nearest::KNearest;
pub use linear_probe::{LinearProbe, ProbeTraining};
pub use linear_probe_report::{LinearProbeReport, ProbeEpoch, SplitMetrics};
pub use logistic::{FeatureScaling, LogisticModel, LogisticProbe, LogisticReport, TriedPenalty};
