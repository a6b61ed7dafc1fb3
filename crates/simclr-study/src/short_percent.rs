//! Percentages in texts.

/// `25 %`, with at most one decimal.
pub(crate) fn short_percent(fraction: f64) -> String {
    format!("{} %", (1000.0 * fraction).round() / 10.0)
}
