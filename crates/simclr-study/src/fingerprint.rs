//! What tells one network, or one configuration, from another in records and messages.

use simclr_eval::values_digest;
use simclr_model::Parameters;

use crate::error::Result;

/// Tells networks with different parameters apart.
pub(crate) fn parameters_digest(parameters: &Parameters) -> Result<String> {
    let values = parameters.iter();
    let values = values.map(|(name, variable)| (name, variable.as_tensor()));
    Ok(short(&values_digest(values)?))
}

/// Enough of a digest to tell it from others, and to show it in messages.
pub(crate) fn short(digest: &str) -> String {
    digest.chars().take(16).collect()
}
