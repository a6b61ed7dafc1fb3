//! What several test programs have in common.

use simclr_eval::ProbeSuite;
use simclr_eval::probes::{LinearProbe, LogisticProbe};

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
