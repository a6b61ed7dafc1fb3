//! The settings that a case was recorded with.

use simclr_loss::NtXent;
use simclr_testkit::GoldenCase;

use crate::Result;

/// The loss with the case's settings.
pub(crate) fn loss_of(case: &GoldenCase) -> Result<NtXent> {
    Ok(NtXent {
        temperature: case.number("temperature")?,
        normalize: case.flag("hidden_norm")?,
        ..NtXent::default()
    })
}
