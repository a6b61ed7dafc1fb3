//! What a classifier's scores contribute to a report: curves over all thresholds, and the
//! calibration.

use crate::analysis::Calibration;
use crate::metrics::{ClassificationReport, PrecisionRecallCurve, RocCurve, arg_max, softmax};
use crate::{Error, Result};
use simclr_report::plot::{self, Curve, ReliabilityBin};
use simclr_report::{Cell, Report, Table, percent};

/// Intervals of confidence.
const BINS: usize = 10;

pub(super) fn add(
    report: Report,
    name: &str,
    what: &str,
    result: &ClassificationReport,
    scores: &[f32],
    labels: &[u32],
) -> Result<Report> {
    let classes = &result.class_names;
    let shares = probabilities(scores, classes.len(), labels)?;
    let (precision, roc) = curves(classes, &shares, labels)?;
    let mut areas = Table::new(
        format!("{name}-areas"),
        format!("Areas under the curves, each class against the others ({what})."),
    )
    .columns(["class", "average precision", "area under ROC"]);
    for (precision, roc) in precision.iter().zip(&roc) {
        areas = areas.row([
            precision.name.as_str().into(),
            Cell::share(precision.area),
            Cell::share(roc.area),
        ]);
    }
    let report = report
        .figure(
            format!("{name}-precision-recall"),
            plot::precision_recall(&format!("Precision and recall: {what}"), &precision)?,
            "Precision over recall, each class against the others, with average precision (AP). \
             Dashed: the share of the class, which is the precision of chance.",
        )
        .figure(
            format!("{name}-roc"),
            plot::roc(&format!("ROC: {what}"), &roc)?,
            "True over false positive rate, each class against the others, with the area under \
             the curve. Dashed: chance.",
        )
        .table(areas);
    let calibration = calibration(&shares, classes.len(), labels)?;
    add_calibration(report, name, what, &calibration)
}

/// Precision over recall and ROC of each class against the others; of two classes, of the first.
/// Classes that all images have, or none, are left out.
fn curves(classes: &[String], shares: &[f64], labels: &[u32]) -> Result<(Vec<Curve>, Vec<Curve>)> {
    let count = if classes.len() == 2 { 1 } else { classes.len() };
    let (mut precision, mut roc) = (Vec::new(), Vec::new());
    for (class, name) in classes.iter().enumerate().take(count) {
        let positive: Vec<bool> = labels.iter().map(|&l| l as usize == class).collect();
        if !(positive.contains(&true) && positive.contains(&false)) {
            continue;
        }
        let of_class = shares.iter().skip(class).step_by(classes.len());
        let of_class: Vec<f64> = of_class.copied().collect();
        let own = positive.iter().filter(|is_positive| **is_positive).count();
        let curve = |points, area| Curve {
            name: name.clone(),
            points,
            area,
            prevalence: own as f64 / positive.len() as f64,
        };
        let curve_of_precision = PrecisionRecallCurve::new(&positive, &of_class)?;
        let points = pairs(&curve_of_precision.recall, &curve_of_precision.precision);
        precision.push(curve(points, curve_of_precision.average_precision));
        let rates = RocCurve::new(&positive, &of_class)?;
        let points = pairs(&rates.false_positive_rate, &rates.true_positive_rate);
        roc.push(curve(points, rates.area));
    }
    Ok((precision, roc))
}

fn add_calibration(
    report: Report,
    name: &str,
    what: &str,
    calibration: &Calibration,
) -> Result<Report> {
    let caption = format!(
        "Accuracy over confidence, in {BINS} intervals ({what}). The area of a point is in \
         proportion to its predictions. Expected calibration error {}, largest {}.",
        percent(calibration.expected_error),
        percent(calibration.maximum_error)
    );
    let bins = calibration.bins.iter().map(|bin| ReliabilityBin {
        confidence: bin.mean_confidence,
        accuracy: bin.accuracy,
        count: bin.count,
    });
    let plot = plot::reliability(&format!("Calibration: {what}"), &bins.collect::<Vec<_>>())?;
    Ok(report.figure(format!("{name}-calibration"), plot, caption))
}

fn pairs(x: &[f64], y: &[f64]) -> Vec<(f64, f64)> {
    x.iter().copied().zip(y.iter().copied()).collect()
}

fn calibration(shares: &[f64], classes: usize, labels: &[u32]) -> Result<Calibration> {
    let rows = shares.chunks_exact(classes.max(1));
    let confidences: Vec<f64> = rows
        .map(|row| row.iter().copied().fold(0.0, f64::max).min(1.0))
        .collect();
    let as_f32: Vec<f32> = shares.iter().map(|&share| share as f32).collect();
    let predictions = arg_max(&as_f32, classes)?;
    let correct: Vec<bool> = predictions
        .iter()
        .zip(labels)
        .map(|(p, l)| p == l)
        .collect();
    Calibration::of(&confidences, &correct, BINS)
}

/// The softmax of each row, of which there must be one for each label.
fn probabilities(scores: &[f32], classes: usize, labels: &[u32]) -> Result<Vec<f64>> {
    if classes == 0 || scores.len() != labels.len() * classes {
        let (scores, labels) = (scores.len(), labels.len());
        let reason = format!("{scores} scores of {classes} classes for {labels} labels");
        return Err(Error::evaluation("curves of scores", reason));
    }
    Ok(softmax(scores, classes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::EvaluationReport;

    #[test]
    fn curves_areas_and_calibration_are_in_the_report() {
        let names = ["none", "crack", "soupy"].map(str::to_owned);
        let scores = [3.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 2.0, 0.0, 1.0, 0.0, 0.5];
        let labels = [0, 1, 1, 0];
        let result = ClassificationReport::new(&scores, &labels, &names).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let report = Report::new("Scores", "")
            .scores("s", "a probe", &result, &scores, &labels)
            .unwrap();
        let page = std::fs::read_to_string(report.write(dir.path()).unwrap()).unwrap();
        // Every score of a class is above those of the others; `soupy` has no image.
        assert!(page.contains("none: AP 100.0 %") && page.contains("crack: area 100.0 %"));
        assert!(!page.contains("soupy"));
        let areas = std::fs::read_to_string(dir.path().join("tables/s-areas.csv")).unwrap();
        assert!(areas.contains("crack,1,1"), "{areas}");
        for figure in ["precision-recall", "roc", "calibration"] {
            assert!(dir.path().join(format!("figures/s-{figure}.svg")).exists());
        }
        assert!(probabilities(&scores, 3, &labels[..3]).is_err());
    }

    #[test]
    fn two_classes_have_one_curve() {
        let names = ["none", "other"].map(str::to_owned);
        let (scores, labels) = ([1.0, 0.0, 0.0, 1.0], [0, 1]);
        let result = ClassificationReport::new(&scores, &labels, &names).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let report = Report::new("Scores", "").scores("s", "x", &result, &scores, &labels);
        report.unwrap().write(dir.path()).unwrap();
        let areas = std::fs::read_to_string(dir.path().join("tables/s-areas.csv")).unwrap();
        assert_eq!(areas.lines().count(), 2, "{areas}");
    }
}
