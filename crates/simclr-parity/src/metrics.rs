//! Figures of merit of a classifier.

use simclr_eval::metrics::{
    BatchMeans, ConfusionMatrix, PAPER_BATCH_SIZE, PrecisionRecallCurve, arg_max, top_k_accuracy,
};
use simclr_testkit::{GoldenCase, Tolerance};

use crate::{CaseReport, Result};

pub(crate) fn check(case: &GoldenCase) -> Result<CaseReport> {
    let classes = case.count("classes")?;
    let labels = class_ids(case, "y_true")?;
    let predictions = class_ids(case, "y_pred")?;
    let confusion = ConfusionMatrix::new(&labels, &predictions, classes)?;
    let mut report = CaseReport::default();

    let counts: Vec<_> = confusion.counts().iter().flatten().copied().collect();
    let recorded: Vec<_> = case.integers("confusion")?;
    report.require(
        "confusion",
        counts.len() == recorded.len()
            && counts.iter().zip(&recorded).all(|(&a, &b)| a as i64 == b),
    );

    let bound = Tolerance::absolute(case.bound("abs")?);
    let f1: Vec<f64> = confusion.per_class().iter().map(|class| class.f1).collect();
    report.compare_recorded_f64(case, "f1_per_class", bound, &f1)?;
    for (name, value) in [
        ("accuracy", confusion.accuracy()),
        ("f1_weighted", confusion.weighted_f1()),
        ("f1_macro", confusion.macro_f1()),
        ("f1_micro", confusion.accuracy()),
        ("precision_weighted", confusion.weighted_precision()),
        ("recall_weighted", confusion.weighted_recall()),
    ] {
        report.compare_result(case, name, bound, value)?;
    }
    batch_means(&mut report, case, &labels, &predictions, classes)?;
    top_k(&mut report, case, &labels, classes)?;
    if case.has("score") {
        precision_recall(&mut report, case, &labels)?;
    }
    Ok(report)
}

/// The ids of classes; a negative one becomes one that no set of classes has.
pub(crate) fn class_ids(case: &GoldenCase, name: &str) -> Result<Vec<u32>> {
    let ids = case.integers(name)?;
    Ok(ids
        .into_iter()
        .map(|id| u32::try_from(id).unwrap_or(u32::MAX))
        .collect())
}

fn batch_means(
    report: &mut CaseReport,
    case: &GoldenCase,
    labels: &[u32],
    predictions: &[u32],
    classes: usize,
) -> Result<()> {
    let bound = Tolerance::absolute(case.bound("abs")?);
    let means = BatchMeans::new(labels, predictions, classes, PAPER_BATCH_SIZE)?;
    report.compare_result(case, "batch_mean_accuracy", bound, means.accuracy)?;
    report.compare_result(case, "batch_mean_f1_weighted", bound, means.weighted_f1)
}

fn top_k(report: &mut CaseReport, case: &GoldenCase, labels: &[u32], classes: usize) -> Result<()> {
    let bound = Tolerance::absolute(case.bound("top_k")?);
    let logits = case.values("logits")?;
    // The original takes the arg-max for top-1, so ties are decided there, and not for top-5.
    let first = ConfusionMatrix::new(labels, &arg_max(&logits, classes)?, classes)?.accuracy();
    report.compare_result(case, "label_top_1_accuracy", bound, first)?;
    let fifth = top_k_accuracy(&logits, labels, classes, 5)?;
    report.compare_result(case, "label_top_5_accuracy", bound, fifth)
}

fn precision_recall(report: &mut CaseReport, case: &GoldenCase, labels: &[u32]) -> Result<()> {
    let bound = Tolerance::absolute(case.bound("abs")?);
    let positive: Vec<bool> = labels.iter().map(|&label| label == 1).collect();
    let curve = PrecisionRecallCurve::new(&positive, &case.values_f64("score")?)?;
    for (name, values) in [
        ("pr_precision", &curve.precision),
        ("pr_recall", &curve.recall),
        ("pr_thresholds", &curve.thresholds),
    ] {
        report.compare_recorded_f64(case, name, bound, values)?;
    }
    report.compare_result(case, "average_precision", bound, curve.average_precision)
}
