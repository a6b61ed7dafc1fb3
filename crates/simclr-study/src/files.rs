//! The names of the files in a study's folder, beside those of its record.

pub(crate) const DUPLICATES: &str = "duplicates.json";
pub(crate) const DUPLICATES_TABLE: &str = "duplicates.csv";
pub(crate) const EPOCHS: &str = "epochs.csv";
pub(crate) const PREDICTIONS: &str = "predictions.csv";
pub(crate) const REPORT: &str = "report.html";
pub(crate) const RESULTS: &str = "results.json";
pub(crate) const RESULTS_TABLE: &str = "results.csv";
pub(crate) const SPLITS: &str = "splits.csv";

/// All of them.
pub(crate) const ALL: [&str; 8] = [
    DUPLICATES,
    DUPLICATES_TABLE,
    EPOCHS,
    PREDICTIONS,
    REPORT,
    RESULTS,
    RESULTS_TABLE,
    SPLITS,
];
