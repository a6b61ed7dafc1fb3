//! Figures of merit of a classifier.

use crate::{CaseChecks, Result};
use simclr_eval::metrics::{
    BatchMeans, ConfusionMatrix, PAPER_BATCH_SIZE, PrecisionRecallCurve, arg_max, top_k_accuracy,
};
use simclr_testkit::{GoldenCase, Tolerance};

pub(crate) fn check(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    let classes = case.count("classes")?;
    let labels = class_ids(case, "y_true")?;
    let predictions = class_ids(case, "y_pred")?;
    let confusion = ConfusionMatrix::new(&labels, &predictions, classes)?;
    let counts = confusion
        .counts()
        .iter()
        .flatten()
        .map(|&count| count as i64);
    let same = counts.eq(case.values::<i64>("confusion")?);
    checks.report.require("confusion", same);

    let bound = Tolerance::absolute(case.bound("abs")?);
    let f1: Vec<f64> = confusion.per_class().iter().map(|class| class.f1).collect();
    checks.compare("f1_per_class", bound, &f1)?;
    let means = BatchMeans::new(&labels, &predictions, classes, PAPER_BATCH_SIZE)?;
    for (name, value) in [
        ("accuracy", confusion.accuracy()),
        ("f1_weighted", confusion.weighted_f1()),
        ("f1_macro", confusion.macro_f1()),
        ("f1_micro", confusion.accuracy()),
        ("precision_weighted", confusion.weighted_precision()),
        ("recall_weighted", confusion.weighted_recall()),
        ("batch_mean_accuracy", means.accuracy),
        ("batch_mean_f1_weighted", means.weighted_f1),
    ] {
        checks.compare_result(name, bound, value)?;
    }
    top_k(checks, &labels, classes)?;
    if case.has("score") {
        precision_recall(checks, &labels, bound)?;
    }
    Ok(())
}

/// The ids of classes; a negative one becomes one that no set of classes has.
pub(crate) fn class_ids(case: &GoldenCase, name: &str) -> Result<Vec<u32>> {
    let ids = case.values::<i64>(name)?;
    Ok(ids
        .into_iter()
        .map(|id| u32::try_from(id).unwrap_or(u32::MAX))
        .collect())
}

fn top_k(checks: &mut CaseChecks<'_>, labels: &[u32], classes: usize) -> Result<()> {
    let bound = Tolerance::absolute(checks.case.bound("top_k")?);
    let logits = checks.case.values("logits")?;
    // The original takes the arg-max for top-1, so ties are decided there, and not for top-5.
    let first = ConfusionMatrix::new(labels, &arg_max(&logits, classes)?, classes)?.accuracy();
    checks.compare_result("label_top_1_accuracy", bound, first)?;
    let fifth = top_k_accuracy(&logits, labels, classes, 5)?;
    checks.compare_result("label_top_5_accuracy", bound, fifth)
}

fn precision_recall(checks: &mut CaseChecks<'_>, labels: &[u32], bound: Tolerance) -> Result<()> {
    let positive: Vec<bool> = labels.iter().map(|&label| label == 1).collect();
    let scores = checks.case.values::<f64>("score")?;
    let curve = PrecisionRecallCurve::new(&positive, &scores)?;
    for (name, values) in [
        ("pr_precision", &curve.precision),
        ("pr_recall", &curve.recall),
        ("pr_thresholds", &curve.thresholds),
    ] {
        checks.compare(name, bound, values)?;
    }
    checks.compare_result("average_precision", bound, curve.average_precision)
}
