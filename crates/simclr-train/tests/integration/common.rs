//! What tests of training have in common.

use simclr_train::{Callback, Control, StepMetrics};

/// Answers `control` after some step.
pub(crate) struct After(pub(crate) u64, pub(crate) Control);

impl Callback for After {
    fn on_step(&mut self, metrics: &StepMetrics) -> Control {
        if metrics.step + 1 == self.0 {
            self.1
        } else {
            Control::Continue
        }
    }
}
