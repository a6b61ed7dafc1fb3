//! Do all ranks mean the same run?

use serde_json::Value;
use simclr_collective::Collective;

use crate::error::{Error, Result};
use crate::run::differences;

/// Fails on every rank if what decides the result differs between ranks.
pub(crate) fn check_agreement(ranks: &dyn Collective, settings: &Value) -> Result<()> {
    let all = ranks.all_gather_varying(settings.to_string().as_bytes())?;
    let read = |text: &[u8]| -> Result<Value> {
        serde_json::from_slice(text)
            .map_err(|error| Error::setting("settings of the ranks", "JSON", error))
    };
    let Some((first, others)) = all.split_first() else {
        return Ok(());
    };
    let first = read(first)?;
    for (rank, other) in (1..).zip(others) {
        let differences = differences(&first, &read(other)?);
        if !differences.is_empty() {
            return Err(Error::RanksDiffer { rank, differences });
        }
    }
    Ok(())
}
