//! What several tests have in common.

use simclr_data::Seed;
use simclr_eval::ProbeSuite;
use simclr_eval::probes::{LinearProbe, LogisticProbe};
use simclr_study::{FoldScheme, Protocol, paper};

/// Probes that take no time, for tests that do not look at how good they are.
pub(crate) fn quick_probes() -> ProbeSuite {
    ProbeSuite::default()
        .with_linear(LinearProbe::paper().with_epochs(1).with_batch_size(10))
        .with_logistic(
            LogisticProbe::default()
                .with_penalties(vec![1.0])
                .with_steps(5),
        )
}

/// Experiment 3 in two small folds.
pub(crate) fn protocol(seeds: impl Into<Vec<Seed>>) -> Protocol {
    paper::tiny(paper::experiment_3())
        .with_folds(FoldScheme::SmallTrain {
            folds: 2,
            fraction: 0.2,
        })
        .with_label_fractions([1.0])
        .with_seeds(seeds)
        .with_probes(quick_probes())
}
