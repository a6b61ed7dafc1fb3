//! The forms in which a case is computed.

use simclr_kernels::Backend;
use simclr_testkit::GoldenCase;

/// The implementations that there are on the case's device.
pub(crate) fn backends(case: &GoldenCase) -> &'static [Backend] {
    if case.device().is_cpu() {
        &[Backend::Fused, Backend::Composite]
    } else {
        &[Backend::Composite]
    }
}
