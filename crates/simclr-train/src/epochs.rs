//! Metrics by epoch.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::run::MetricsTable;

/// Means of a column over the steps of each epoch, from 1; empty if the objective has no such
/// metric.
pub(crate) fn epoch_means(table: &MetricsTable, column: &str) -> Result<BTreeMap<usize, f64>> {
    if !table.columns().iter().any(|name| name == column) {
        return Ok(BTreeMap::new());
    }
    let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (epoch, value) in table.points("epoch", column)? {
        let (sum, count) = sums.entry(epoch as usize).or_default();
        *sum += value;
        *count += 1.0;
    }
    Ok(sums
        .into_iter()
        .map(|(epoch, (sum, count))| (epoch, sum / count))
        .collect())
}
