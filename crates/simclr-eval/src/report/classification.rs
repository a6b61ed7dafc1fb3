//! What a classifier's evaluation contributes to a report.

use crate::Result;
use crate::metrics::{ClassScores, ClassificationReport};
use simclr_report::plot::{BarChart, ConfusionPlot};
use simclr_report::{Cell, Report, Table};

pub(super) fn add(
    report: Report,
    name: &str,
    what: &str,
    result: &ClassificationReport,
) -> Result<Report> {
    let confusion = ConfusionPlot::new(
        format!("Confusion matrix: {what}"),
        &result.class_names,
        result.confusion.counts(),
    )?;
    let measure =
        |pick: fn(&ClassScores) -> f64| result.per_class.iter().map(pick).collect::<Vec<_>>();
    let bars = BarChart::new(format!("By class: {what}"), result.class_names.clone())
        .shares()
        .measure("precision", measure(|scores| scores.precision))
        .measure("recall", measure(|scores| scores.recall))
        .measure("F1", measure(|scores| scores.f1));
    Ok(report
        .table(whole(name, what, result))
        .figure(
            format!("{name}-confusion"),
            confusion.render()?,
            format!("Rows are true classes; colours are shares of the true class ({what})."),
        )
        .figure(
            format!("{name}-by-class"),
            bars.render()?,
            format!("Precision, recall and F1 of each class ({what})."),
        )
        .table(result.class_table(
            &format!("{name}-by-class"),
            &format!("Figures by class ({what})."),
        )))
}

fn whole(name: &str, what: &str, result: &ClassificationReport) -> Table {
    let batches = &result.paper_compatible;
    Table::new(
        name,
        format!(
            "Figures of the whole set ({what}), and the means over batches of {} in the order of \
             the images, on which they depend: the paper's scripts report these.",
            batches.batch_size
        ),
    )
    .columns(["figure", "whole set", "batch mean"])
    .row(["images".into(), result.samples.into(), "".into()])
    .row([
        "accuracy".into(),
        Cell::share(result.accuracy),
        Cell::share(batches.accuracy),
    ])
    .row([
        "weighted F1".into(),
        Cell::share(result.weighted_f1),
        Cell::share(batches.weighted_f1),
    ])
    .row(["macro F1".into(), Cell::share(result.macro_f1), "".into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::EvaluationReport;

    #[test]
    fn the_figures_of_a_classifier_are_all_in_the_report() {
        let names = ["none", "crack"].map(str::to_owned);
        let scores = [1.0, 0.0, 0.2, 0.4, 0.9, 0.1];
        let result = ClassificationReport::new(&scores, &[0, 1, 1], &names).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let report = Report::new("Probe", "");
        let report = report
            .classification("probe", "linear probe", &result)
            .unwrap();
        let page = std::fs::read_to_string(report.write(dir.path()).unwrap()).unwrap();
        assert!(
            page.contains("66.7\u{a0}%</td>") && page.contains("Confusion matrix: linear probe")
        );
        for file in [
            "tables/probe.csv",
            "tables/probe-by-class.csv",
            "figures/probe-confusion.svg",
            "figures/probe-by-class.svg",
        ] {
            assert!(dir.path().join(file).exists(), "{file}");
        }
        let table = std::fs::read_to_string(dir.path().join("tables/probe-by-class.csv")).unwrap();
        assert!(table.contains("none,1,0.5,1,0.6666666666666666"), "{table}");
    }
}
