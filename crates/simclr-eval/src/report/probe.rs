//! What a linear probe's epochs contribute to a report.

use crate::Result;
use crate::probes::{LinearProbeReport, ProbeEpoch};
use simclr_report::Report;
use simclr_report::plot::{LineChart, Series};

pub(super) fn add(
    report: Report,
    name: &str,
    what: &str,
    result: &LinearProbeReport,
) -> Result<Report> {
    let series = |name: &str, pick: fn(&ProbeEpoch) -> f64| {
        let epochs = result.epochs.iter();
        Series::new(name, epochs.map(|e| (e.epoch as f64, pick(e))).collect())
    };
    let chart = |title: &str| LineChart::new(format!("{title} of the linear probe: {what}"));
    let loss = chart("Loss")
        .x_label("epoch")
        .y_label("cross-entropy")
        .series(series("training", |epoch| epoch.train_loss))
        .series(series("validation", |epoch| epoch.validation.loss))
        .series(series("test", |epoch| epoch.test.loss));
    let accuracy = chart("Accuracy")
        .x_label("epoch")
        .y_label("accuracy")
        .share_y()
        .series(series("training", |epoch| epoch.train_accuracy))
        .series(series("validation", |epoch| epoch.validation.accuracy))
        .series(series("test", |epoch| epoch.test.accuracy));
    let caption = format!(
        "The best validation accuracy is that of epoch {}, whose test figures count.",
        result.best_epoch
    );
    Ok(report
        .figure(
            format!("{name}-probe-loss"),
            loss.render()?,
            caption.clone(),
        )
        .figure(
            format!("{name}-probe-accuracy"),
            accuracy.render()?,
            caption,
        ))
}
